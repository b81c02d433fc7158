"""NumPy archives: arrays with names, their metadata, and archives that are damaged."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.recordings import FS, SIGNAL, TIMES, is_signal, opened, problem_of, read


def written(folder: Path, *, compressed: bool = False, **values: Any) -> Path:
    """Write an archive with NumPy."""
    save = np.savez_compressed if compressed else np.savez
    save(folder / "a.npz", allow_pickle=True, **values)
    return folder / "a.npz"


@pytest.mark.parametrize("compressed", [False, True])
def test_the_only_signal_is_read_with_its_rate(tmp_path: Path, compressed: bool) -> None:
    path = written(tmp_path, compressed=compressed, ecg=SIGNAL, fs=FS, r_peaks=np.arange(5))
    is_signal(read(path))
    assert opened(path).fs == FS and opened(path).leads == ("ecg",)


@pytest.mark.parametrize("transposed", [False, True])
def test_both_orientations_are_read(tmp_path: Path, transposed: bool) -> None:
    both = np.column_stack([SIGNAL, SIGNAL / 2])
    path = written(tmp_path, signal=both.T if transposed else both, fs=FS, leads=["II", "V5"], units="mV")
    found = read(path, lead="all")
    np.testing.assert_allclose(found, both)
    assert opened(path, lead="all").leads == ("II", "V5")


def test_arrays_with_names_of_leads_are_one_recording(tmp_path: Path) -> None:
    path = written(tmp_path, I=SIGNAL / 2, II=SIGNAL, V1=-SIGNAL, fs=FS)
    assert opened(path, lead="all").leads == ("I", "II", "V1")
    is_signal(read(path))


def test_times_give_the_rate(tmp_path: Path) -> None:
    path = written(tmp_path, ecg=SIGNAL, time=TIMES)
    assert opened(path).fs == FS


def test_times_in_milliseconds_need_a_rate(tmp_path: Path) -> None:
    assert "give fs" in problem_of(written(tmp_path, ecg=SIGNAL, time=1000 * TIMES))
    assert opened(written(tmp_path, ecg=SIGNAL, time=1000 * TIMES), fs=FS).fs == FS
    assert opened(written(tmp_path, ecg=SIGNAL, time_ms=1000 * TIMES)).fs == FS
    assert opened(written(tmp_path, ecg=SIGNAL, times=1000 * TIMES, srate=FS)).fs == FS


@pytest.mark.parametrize("interval", [{"dt": 0.004}, {"dt": 4.0}, {"Ts": 0.004}, {"ts": 1.7e9}, {"dt": 0.0}])
def test_intervals_that_agree_are_read(tmp_path: Path, interval: dict[str, Any]) -> None:
    is_signal(read(written(tmp_path, ecg=SIGNAL, fs=FS, **interval)))


def test_uneven_times_are_refused(tmp_path: Path) -> None:
    times = TIMES.copy()
    times[5000:] += 1.0
    assert "not evenly spaced, see sample 4,999" in problem_of(written(tmp_path, ecg=SIGNAL, time=times))


@pytest.mark.parametrize(
    ("values", "options", "problem"),
    [
        ({"ecg": SIGNAL}, {}, "has no sampling rate; give fs in Hz"),
        ({"ecg": SIGNAL, "fs": FS}, {"fs": 500.0}, "has a sampling rate of 250 Hz, but fs is 500 Hz"),
        ({"ecg": SIGNAL, "fs": FS, "time": TIMES * 2}, {}, "states different sampling rates"),
        ({"ecg": SIGNAL, "fs": FS, "dt": 0.002}, {}, "states different sampling rates"),
        ({"ecg": SIGNAL, "fs": FS, "sample_interval": 2.0}, {}, "states different sampling rates"),
        ({"ecg": SIGNAL, "dt": 0.002}, {"fs": FS}, "has a sampling rate of 500 Hz, but fs is 250 Hz"),
        ({"ecg": SIGNAL, "fs": [FS, 2 * FS]}, {}, "states several sampling rates"),
        ({"ecg": SIGNAL, "fs": -1.0}, {}, "must be positive"),
        ({"ecg": SIGNAL, "fs": "fast"}, {}, "is not a sampling rate in Hz"),
        ({"ecg": 1000 * SIGNAL, "fs": FS}, {}, "too large for an ECG"),
        ({"ecg": SIGNAL, "fs": FS, "units": "mmHg"}, {}, "none of its leads (ecg) is a voltage"),
        ({"ecg": SIGNAL, "fs": FS, "units": "mV"}, {"units": "uV"}, "but units is 'uV'"),
        ({"ecg": SIGNAL, "fs": FS, "unit": "mV", "units": "uV"}, {}, "states different units"),
        ({"ecg": np.rint(1000 * SIGNAL).astype(np.int16), "fs": FS}, {}, "give gain"),
        ({"ecg": np.rint(1000 * SIGNAL), "fs": FS}, {}, "give gain"),
        ({"ecg": SIGNAL, "rate": 120.0}, {}, "has no sampling rate; give fs in Hz"),  # a heart rate
        ({"ecg": SIGNAL, "freq": 150.0}, {}, "has no sampling rate; give fs in Hz"),  # of a filter
        ({"ecg": 2 * SIGNAL, "gain": 2.0, "fs": FS}, {}, "states 'gain', but no unit; give gain"),
        ({"ecg": 2 * SIGNAL, "lsb": 2.0, "fs": FS}, {}, "states 'lsb', but no unit; give gain"),
        ({"ecg": 2 * SIGNAL, "gain": 2.0, "fs": FS}, {"gain": 200.0}, "states 'gain': 2, but gain is 200"),
        ({"a": SIGNAL, "b": SIGNAL, "fs": FS}, {}, "has several arrays of samples"),
        ({"ecg": SIGNAL.reshape(100, -1), "fs": FS}, {}, "may be (samples, leads) or (leads, samples)"),
        ({"x": SIGNAL[:8000].reshape(40, 200), "fs": FS}, {}, "it looks like an array of segments"),
        ({"ecg": SIGNAL + 1j, "fs": FS}, {}, "has no array of samples"),
        ({"ecg": np.array([object()] * 20), "fs": FS}, {}, "ecg (Python objects)"),
        ({"x": np.column_stack([SIGNAL] * 3), "fs": FS, "leads": ["I", "II"]}, {}, "3 leads, but 2 names of leads"),
    ],
)
def test_values_that_are_not_one_recording_are_refused(
    tmp_path: Path, values: dict[str, Any], options: dict[str, Any], problem: str
) -> None:
    assert problem in problem_of(written(tmp_path, **values), **options)


def test_microvolts_and_repeated_names_of_leads_are_read(tmp_path: Path) -> None:
    both = 1000 * np.column_stack([SIGNAL, SIGNAL])
    path = written(tmp_path, signal=both, fs=FS, units="µV", lead_names=["ECG", "ECG"])
    is_signal(read(path, lead="1"))
    assert opened(path, lead="all").leads == ("ECG_1", "ECG_2")


def test_missing_samples_stay_in_place(tmp_path: Path) -> None:
    signal = SIGNAL.copy()
    signal[3000:3100] = np.nan
    is_signal(read(written(tmp_path, ecg=signal, fs=FS)), signal)


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ecg=SIGNAL, fs=FS)
    content = path.read_bytes()
    for size in (40, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:size])
        assert "damaged or truncated" in problem_of(path)


def test_an_altered_sample_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ecg=SIGNAL, fs=FS)
    content = bytearray(path.read_bytes())
    content[20_000] ^= 1
    path.write_bytes(content)
    assert "damaged or truncated" in problem_of(path)


def _member(header: str, data: bytes) -> bytes:
    text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize("elements", [100, 10**15])
def test_a_header_that_states_another_size_is_refused(tmp_path: Path, elements: int) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({elements},), }}"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("ecg.npy", _member(header, SIGNAL.tobytes()))
    assert "but the archive" in problem_of(tmp_path / "a.npz", fs=FS)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "loaded",))

    path = written(tmp_path, ecg=np.array([Hostile()] * 100, dtype=object), fs=FS)
    assert "Python objects" in problem_of(path)
    assert not (tmp_path / "loaded").exists()


def test_a_repeated_name_is_refused(tmp_path: Path) -> None:
    stored = io.BytesIO()
    np.save(stored, SIGNAL)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("ecg.npy", stored.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("ecg.npy", stored.getvalue())
    assert "several of its values have the name 'ecg'" in problem_of(tmp_path / "a.npz", fs=FS)


def test_a_lead_can_be_chosen_by_the_name_of_its_array(tmp_path: Path) -> None:
    path = written(tmp_path, before=SIGNAL / 2, after=SIGNAL, fs=FS)
    is_signal(read(path, lead="after"))


def test_another_zip_file_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "text")
    assert "ZIP archive" in problem_of(tmp_path / "a.npz")


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("ecg.npy", _member("{'descr': '<f8', (((", SIGNAL.tobytes()))
    assert "array ecg: not a NumPy array" in problem_of(tmp_path / "a.npz", fs=FS)


def test_a_stated_gain_is_used_if_it_is_given(tmp_path: Path) -> None:
    path = written(tmp_path, ecg=2 * SIGNAL, gain=2.0, fs=FS)
    is_signal(read(path, gain=2.0))
    is_signal(read(written(tmp_path, ecg=SIGNAL, gain=2.0, fs=FS, units="mV")))
    is_signal(read(written(tmp_path, ecg=SIGNAL, gain=2.0, fs=FS), units="mV"))


def test_an_archive_of_one_repeated_value_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, compressed=True, ecg=np.zeros(12_500_000), fs=FS)
    assert "too large" in problem_of(path)
