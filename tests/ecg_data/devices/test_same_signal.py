"""One ECG in the formats of all devices, and in a table, gives the same samples."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from tests.ecg_data.clinical.signals import opened, values
from tests.ecg_data.devices import test_apple, test_opensignals, test_polar
from tests.ecg_data.devices.acq_writer import Channel, acq
from tests.recordings import write_table

MILLIVOLTS = test_polar.MICROVOLTS / 1000
FS = 500
TIMES = np.arange(len(MILLIVOLTS)) / FS


def apple(folder: Path) -> tuple[Path, dict[str, float]]:
    samples = test_apple.rows(1000 * MILLIVOLTS)
    return test_apple.written(folder, samples=samples, sample_rate=f"Sample Rate,{FS} hertz"), {}


def polar(folder: Path) -> tuple[Path, dict[str, float]]:
    return test_polar.written(folder, phone=TIMES, sensor=TIMES, elapsed=TIMES), {}


def opensignals(folder: Path) -> tuple[Path, dict[str, float]]:
    digital = test_polar.MICROVOLTS + 32768
    header = {"a": test_opensignals.plux(**{"sampling rate": FS})}
    rows = test_opensignals.table(digital, digital, counter=np.arange(len(digital)) % 128, digital=1)
    return test_opensignals.written(folder, header, rows=rows), {"gain": 1000.0, "adc_zero": 32768.0}


def acqknowledge(folder: Path) -> tuple[Path, dict[str, float]]:
    path = folder / "a.acq"
    path.write_bytes(acq([Channel(test_polar.MICROVOLTS, "ECG", "uV", scale=1.0)], milliseconds=1000 / FS))
    return path, {}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("write", [apple, polar, opensignals, acqknowledge])
def test_the_same_signal_is_read(tmp_path: Path, write: object, packed: bool) -> None:
    write_table(tmp_path / "table.csv", "time_s,ecg_mV", TIMES, MILLIVOLTS)
    path, options = write(tmp_path)  # type: ignore[operator]
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path = path.with_name(path.name + ".gz")
    lead = "3" if write is opensignals else "auto"
    assert opened(path, lead=lead, **options).fs == FS == opened(tmp_path / "table.csv").fs
    np.testing.assert_allclose(values(path, lead=lead, **options), values(tmp_path / "table.csv"), atol=1e-9)
