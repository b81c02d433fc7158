"""MATLAB files of version 4 to 7.2, written by SciPy, and as signal files of WFDB records."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from ecg_study.ecg_data.readers.opening import find_recordings
from tests.recordings import FS, SIGNAL, TIMES, is_signal, opened, problem_of, read

BOTH = np.column_stack([SIGNAL, SIGNAL / 2])


def written(folder: Path, *, form: str = "5", compressed: bool = False, **values: Any) -> Path:
    """Write a MATLAB file with SciPy."""
    scipy.io.savemat(folder / "a.mat", values, format=form, do_compression=compressed)
    return folder / "a.mat"


FORMS = pytest.mark.parametrize(("form", "compressed"), [("4", False), ("5", False), ("5", True)])


@FORMS
def test_a_signal_is_read_with_its_metadata(tmp_path: Path, form: str, compressed: bool) -> None:
    path = written(tmp_path, form=form, compressed=compressed, ecg=SIGNAL[:, np.newaxis], fs=FS, units="mV", name="x")
    is_signal(read(path))
    assert opened(path).fs == FS and opened(path).leads == ("ecg",)


@FORMS
@pytest.mark.parametrize("transposed", [False, True])
def test_both_orientations_are_read(tmp_path: Path, form: str, compressed: bool, transposed: bool) -> None:
    path = written(tmp_path, form=form, compressed=compressed, val=BOTH.T if transposed else BOTH, Fs=FS)
    np.testing.assert_array_equal(read(path, lead="all"), BOTH)


@pytest.mark.parametrize("compressed", [False, True])
def test_structures_and_cells_are_read(tmp_path: Path, compressed: bool) -> None:
    names = np.array([["II", "V5"]], dtype=object)
    record = {"signal": BOTH.T, "info": {"srate": FS, "leads": names, "units": "mV"}}
    path = written(tmp_path, compressed=compressed, ECG=record, filtered=SIGNAL, annotations=np.arange(30.0))
    assert "has several arrays of samples (ECG.signal 2×10,000; filtered 1×10,000)" in problem_of(path)
    np.testing.assert_array_equal(read(path, lead="ECG.signal"), BOTH[:, :1])
    path = written(tmp_path, compressed=compressed, ECG=record)
    assert opened(path, lead="all").leads == ("II", "V5")
    np.testing.assert_array_equal(read(path, lead="all"), BOTH)


def test_metadata_of_another_signal_are_not_used(tmp_path: Path) -> None:
    ppg = {"data": SIGNAL[:5000], "fs": 125.0, "units": "V"}
    path = written(tmp_path, rec={"ecg": {"data": SIGNAL, "fs": FS}, "ppg": ppg})
    is_signal(read(path, lead="rec.ecg.data"))
    assert opened(path, lead="rec.ecg.data").fs == FS
    assert "has no sampling rate" in problem_of(written(tmp_path, ecg=SIGNAL, ppg={"fs": 125.0}))
    path = written(tmp_path, ecg={"data": SIGNAL}, chest={"data": SIGNAL[:5000], "fs": 125.0})
    assert "has no sampling rate" in problem_of(path, lead="ecg.data")
    assert opened(written(tmp_path, rec={"ecg": SIGNAL}, info={"fs": FS})).fs == FS


def test_rows_of_letters_are_names_of_leads(tmp_path: Path) -> None:
    path = written(tmp_path, sig=BOTH, fs=FS, lead_names=np.array(["I ", "V5"]))
    assert opened(path, lead="all").leads == ("I", "V5")


def test_integers_need_a_gain(tmp_path: Path) -> None:
    digital = np.rint(1000 * SIGNAL)
    for numbers in (digital.astype(np.int16), digital):  # stored with int16 and double
        path = written(tmp_path, val=numbers, fs=FS)
        assert "give gain" in problem_of(path)
        is_signal(read(path, gain=1000.0))


def test_numbers_in_a_shorter_type_are_read(tmp_path: Path) -> None:
    """MATLAB stores whole numbers of a double array in fewer bytes."""
    digital = np.rint(1000 * SIGNAL).astype("<i2")
    path = tmp_path / "a.mat"
    path.write_bytes(
        _matlab5(_numbers(b"val", 6, 3, digital.tobytes(), len(digital)), _numbers(b"fs", 6, 2, b"\xfa", 1))
    )
    assert scipy.io.loadmat(path)["fs"] == 250
    is_signal(read(path, gain=1000.0))


@pytest.mark.parametrize(
    ("values", "options", "problem"),
    [
        ({"ecg": SIGNAL}, {}, "has no sampling rate; give fs in Hz"),
        ({"ecg": SIGNAL, "fs": FS}, {"fs": 360.0}, "but fs is 360 Hz"),
        ({"ecg": SIGNAL, "fs": FS, "t": TIMES / 2}, {}, "states different sampling rates"),
        ({"ecg": SIGNAL, "fs": FS, "units": "mmHg"}, {}, "none of its leads (ecg) is a voltage"),
        ({"ecg": SIGNAL, "fs": FS, "units": "mV"}, {"gain": 200.0}, "omit gain"),
        ({"ecg": 1000 * SIGNAL, "fs": FS}, {}, "too large for an ECG"),
        ({"ecg": SIGNAL + 1j, "fs": FS}, {}, "ecg (complex numbers)"),
        ({"ecg": SIGNAL > 0, "fs": FS}, {}, "ecg (logical values)"),
        ({"ecg": scipy.sparse.csc_matrix(BOTH), "fs": FS}, {}, "ecg (a sparse matrix)"),
        ({"ecg": np.zeros((200, 50, 20)), "fs": FS}, {}, "has no array of samples"),
        ({"fs": FS}, {}, "has no array of samples"),
        ({"data": BOTH.T.reshape(-1), "datastart": [1, 10001], "dataend": [10000, 20000], "fs": FS}, {}, "LabChart"),
    ],
)
def test_values_that_are_not_one_recording_are_refused(
    tmp_path: Path, values: dict[str, Any], options: dict[str, Any], problem: str
) -> None:
    assert problem in problem_of(written(tmp_path, **values), **options)


@FORMS
def test_a_truncated_file_is_refused(tmp_path: Path, form: str, compressed: bool) -> None:
    path = written(tmp_path, form=form, compressed=compressed, ecg=BOTH)
    content = path.read_bytes()
    for size in (len(content) // 2, len(content) - 8, len(content) - 1):
        path.write_bytes(content[:size])
        assert "truncated" in problem_of(path, fs=FS)


@FORMS
def test_other_bytes_at_the_end_are_refused(tmp_path: Path, form: str, compressed: bool) -> None:
    path = written(tmp_path, form=form, compressed=compressed, ecg=BOTH)
    path.write_bytes(path.read_bytes() + b"more")
    assert "damaged" in problem_of(path, fs=FS)


def test_an_altered_compressed_sample_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, compressed=True, ecg=BOTH)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    assert "damaged" in problem_of(path, fs=FS)


def _element(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data + bytes(-len(data) % 8)


def _numbers(name: bytes, array_class: int, stored: int, data: bytes, rows: int) -> bytes:
    flags = _element(6, array_class.to_bytes(4, "little") + bytes(4))
    shape = _element(5, rows.to_bytes(4, "little") + (1).to_bytes(4, "little"))
    return _element(14, flags + shape + _element(1, name) + _element(stored, data))


def _matlab5(*elements: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(elements)


def test_a_shape_that_states_another_size_is_refused(tmp_path: Path) -> None:
    for rows in (len(SIGNAL) + 1, 2**31 - 1):
        content = _matlab5(_numbers(b"ecg", 6, 9, SIGNAL.tobytes(), rows))
        (tmp_path / "a.mat").write_bytes(content)
        assert "bytes instead of" in problem_of(tmp_path / "a.mat", fs=FS)


def test_deep_structures_are_refused(tmp_path: Path) -> None:
    values: Any = SIGNAL
    for _ in range(30):
        values = {"s": values}
    assert "more than 16 structures" in problem_of(written(tmp_path, a=values), fs=FS)


def test_many_values_are_refused(tmp_path: Path) -> None:
    cells = np.empty(3000, dtype=object)
    cells[:] = [np.zeros(2)] * 3000
    assert "at most 2,000" in problem_of(written(tmp_path, a=cells), fs=FS)


def test_data_that_grow_when_decompressed_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.readers.arrays.matlab5.MAX_UNPACKED_BYTES", 100_000)
    packed = zlib.compress(_numbers(b"ecg", 6, 9, bytes(800_000), 100_000))
    (tmp_path / "a.mat").write_bytes(_matlab5(b"\x0f\0\0\0" + len(packed).to_bytes(4, "little") + packed))
    assert "more than 100,000 bytes" in problem_of(tmp_path / "a.mat", fs=FS)


def test_files_of_both_byte_orders_are_read(tmp_path: Path) -> None:
    digital = np.rint(1000 * SIGNAL).astype(">i2")
    head = np.array([1030, 1, len(digital), 0, 4], ">i4").tobytes() + b"val\0"
    (tmp_path / "a.mat").write_bytes(head + digital.tobytes())
    is_signal(read(tmp_path / "a.mat", fs=FS, gain=1000.0))


def _signal_file(folder: Path) -> Path:
    """Write a WFDB record whose signal file is a MATLAB file, as the program wfdb2mat does."""
    digital = np.rint(1000 * BOTH).astype("<i2")
    head = np.array([30, 2, len(digital), 0, 4], "<i4").tobytes() + b"val\0"
    (folder / "r.mat").write_bytes(head + digital.tobytes())
    lines = [f"r 2 {FS:g} {len(digital)}"]
    for name, lead in zip(("II", "V5"), digital.T.astype(np.int64), strict=True):
        lines.append(f"r.mat 16+24 1000/mV 16 0 {lead[0]} {int(lead.sum()) % 65536} 0 {name}")
    (folder / "r.hea").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "r.mat"


def test_signals_of_a_wfdb_record_have_its_units_and_rate(tmp_path: Path) -> None:
    path = _signal_file(tmp_path)
    for name in (path, path.with_suffix(".hea"), path.with_suffix("")):
        np.testing.assert_allclose(read(name, lead="all"), BOTH, atol=0.001)
        assert opened(name, lead="all").leads == ("II", "V5")
    assert find_recordings(tmp_path) == [tmp_path / "r.hea"]


def test_a_truncated_signal_file_is_refused(tmp_path: Path) -> None:
    path = _signal_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-4])
    assert "truncated" in problem_of(path)


def test_a_matlab_file_of_another_name_is_a_recording(tmp_path: Path) -> None:
    _signal_file(tmp_path)
    written(tmp_path, ecg=SIGNAL, fs=FS)
    assert find_recordings(tmp_path) == [tmp_path / "a.mat", tmp_path / "r.hea"]
