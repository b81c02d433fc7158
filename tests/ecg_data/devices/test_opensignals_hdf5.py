"""OpenSignals HDF5 files, written with h5py in the layout of the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.recordings import FS, SIGNAL, is_signal, opened, problem_of, read

DIGITAL = np.rint(1000 * SIGNAL + 2000).astype(np.uint16)[:, np.newaxis]
SCALE = {"gain": 1000.0, "adc_zero": 2000.0}


def written(folder: Path, *channels: np.ndarray, sensors: tuple[str, ...] = ("ECG", "RAW"), **attributes: Any) -> Path:
    """Write channels of one device; ``attributes`` replace its own, or remove them if they are ``None``."""
    given = {"sampling rate": FS, "nsamples": len(DIGITAL), "date": "2016-6-9", "time": "7:3:32.137", "device": "x"}
    given.update({key.replace("_", " "): value for key, value in attributes.items()})
    with h5py.File(folder / "a.h5", "w") as file:
        device = file.create_group("00:07:80:58:9B:3F")
        device.attrs.update({key: value for key, value in given.items() if value is not None})
        for number, (channel, sensor) in enumerate(zip(channels or (DIGITAL,), sensors, strict=False), 1):
            made = device.create_dataset(f"raw/channel_{number}", data=channel, chunks=(1024, 1))
            made.attrs.update({"sensor": sensor, "label": f"A{number}"})
        counter = (np.arange(len(DIGITAL)) % 16).astype(np.uint16)[:, np.newaxis]
        device.create_dataset("raw/nSeq", data=counter, chunks=(1024, 1))
        device.create_dataset("support/level_10/channel_1/mean", data=np.zeros((10, 1)))
    return folder / "a.h5"


def test_channels_are_read_with_the_gain_that_is_given(tmp_path: Path) -> None:
    path = written(tmp_path, DIGITAL, DIGITAL // 2)
    is_signal(read(path, **SCALE))
    is_signal(read(path, lead="A2", gain=500.0, adc_zero=1000.0), within=0.002)
    assert opened(path, **SCALE).start_time == "2016-06-09T07:03:32"


def test_samples_without_a_gain_are_refused(tmp_path: Path) -> None:
    assert "give gain" in problem_of(written(tmp_path))
    assert "give gain" in problem_of(written(tmp_path), units="mV")


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"nsamples": 9000}, "its header 9,000 samples"),
        ({"nsamples": None}, "nsamples is missing"),
        ({"sampling_rate": -1.0}, "not a positive number"),
        ({"sampling_rate": "fast"}, "not a positive number"),
        ({"sampling_rate": None}, "not of OpenSignals"),
        ({"sampling_rate": 20.0}, "has 20 Hz"),
    ],
)
def test_attributes_that_contradict_the_samples_are_refused(
    tmp_path: Path, attributes: dict[str, Any], problem: str
) -> None:
    assert problem in problem_of(written(tmp_path, **attributes), **SCALE)


def test_another_sampling_rate_is_refused(tmp_path: Path) -> None:
    assert "but fs is 1000 Hz" in problem_of(written(tmp_path), fs=1000.0, **SCALE)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    for size in (100, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:size])
        assert "damaged or truncated" in problem_of(path, **SCALE)


def test_lost_samples_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    with h5py.File(path, "r+") as file:
        counter = file["00:07:80:58:9B:3F/raw/nSeq"]
        counter[5000:] = (counter[5000:] + 3) % 16
    assert "counts 7, then 11 at sample 5,000; samples are lost" in problem_of(path, **SCALE)


def test_another_hdf5_file_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["ecg"] = SIGNAL
    assert "not of OpenSignals or MATLAB; save the signal as .npz" in problem_of(tmp_path / "a.h5")
