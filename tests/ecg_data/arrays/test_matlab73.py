"""MATLAB files of version 7.3: HDF5 files with the classes of MATLAB in attributes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.recordings import FS, SIGNAL, is_signal, opened, problem_of, read

BOTH = np.column_stack([SIGNAL, SIGNAL / 2])
_CLASSES = {"f8": "double", "f4": "single", "i2": "int16", "u1": "uint8"}


def written(folder: Path, **values: Any) -> Path:
    """Write values as MATLAB does: arrays transposed, in compressed chunks; texts as integers."""
    path = folder / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in values.items():
            _add(file, name, value)
    with open(path, "r+b") as target:
        target.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def _add(group: h5py.Group, name: str, value: Any) -> None:
    if isinstance(value, dict):
        inner = group.create_group(name)
        inner.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, member in value.items():
            _add(inner, key, member)
    elif isinstance(value, list):
        cells = group.file.require_group("#refs#")
        for number, member in enumerate(value):
            _add(cells, f"{name}{number}", member)
        references = np.array([cells[f"{name}{number}"].ref for number in range(len(value))], h5py.ref_dtype)
        made = group.create_dataset(name, data=references.reshape(-1, 1), dtype=h5py.ref_dtype)
        made.attrs["MATLAB_class"] = np.bytes_("cell")
    elif isinstance(value, str):
        made = group.create_dataset(name, data=np.array([[ord(letter)] for letter in value], np.uint16))
        made.attrs["MATLAB_class"] = np.bytes_("char")
    else:
        array = np.atleast_2d(np.asarray(value)).T
        options = {"chunks": tuple(min(n, 3000) for n in array.shape), "compression": 3} if array.size > 1 else {}
        made = group.create_dataset(name, data=array, **options)
        made.attrs["MATLAB_class"] = np.bytes_(_CLASSES.get(array.dtype.str[1:], "logical"))


@pytest.mark.parametrize("transposed", [False, True])
def test_a_signal_is_read_with_its_metadata(tmp_path: Path, transposed: bool) -> None:
    signal = BOTH.T if transposed else BOTH
    path = written(tmp_path, ecg={"val": signal, "fs": FS, "leads": ["II", "V5"], "units": "mV"})
    np.testing.assert_array_equal(read(path, lead="all"), BOTH)
    assert opened(path, lead="all").leads == ("II", "V5") and opened(path).fs == FS


def test_a_signal_in_one_piece_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, fs=FS)
    with h5py.File(path, "r+") as file:
        made = file.create_dataset("ecg", data=SIGNAL)
        made.attrs["MATLAB_class"] = np.bytes_("double")
    is_signal(read(path))


def test_shuffled_chunks_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, fs=FS)
    with h5py.File(path, "r+") as file:
        made = file.create_dataset("ecg", data=BOTH, chunks=(1024, 2), compression=9, shuffle=True)
        made.attrs["MATLAB_class"] = np.bytes_("double")
    np.testing.assert_array_equal(read(path, lead="all"), BOTH)


@pytest.mark.parametrize(
    ("values", "options", "problem"),
    [
        ({"ecg": SIGNAL}, {}, "has no sampling rate; give fs in Hz"),
        ({"ecg": SIGNAL, "fs": FS}, {"fs": 360.0}, "but fs is 360 Hz"),
        ({"ecg": SIGNAL, "fs": FS, "units": "mmHg"}, {}, "is a voltage"),
        ({"ecg": np.rint(1000 * SIGNAL).astype(np.int16), "fs": FS}, {}, "give gain"),
        ({"ecg": 1000 * SIGNAL, "fs": FS}, {}, "too large for an ECG"),
        ({"ecg": SIGNAL > 0, "fs": FS}, {}, "ecg (logical values)"),
        ({"a": SIGNAL, "b": SIGNAL, "fs": FS}, {}, "has several arrays of samples"),
    ],
)
def test_values_that_are_not_one_recording_are_refused(
    tmp_path: Path, values: dict[str, Any], options: dict[str, Any], problem: str
) -> None:
    assert problem in problem_of(written(tmp_path, **values), **options)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ecg=SIGNAL, fs=FS)
    content = path.read_bytes()
    for size in (600, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:size])
        assert "damaged or truncated" in problem_of(path)


def test_an_altered_sample_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ecg=SIGNAL, fs=FS)
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        place = file["ecg"].id.get_chunk_info(1).byte_offset
    content[place + 100] ^= 8
    path.write_bytes(content)
    assert "damaged" in problem_of(path)


def _added(path: Path, **options: Any) -> Path:
    with h5py.File(path, "r+") as file:
        made = file.create_dataset("ecg", **options)
        made.attrs["MATLAB_class"] = np.bytes_("double")
    return path


def test_missing_chunks_are_refused(tmp_path: Path) -> None:
    """The HDF5 library would read them as zeros."""
    path = _added(written(tmp_path, fs=FS), shape=(10_000,), dtype="f8", chunks=(1000,), fillvalue=0.5)
    with h5py.File(path, "r+") as file:
        file["ecg"][:9000] = SIGNAL[:9000]
    assert "has 9 chunks instead of 10; the file is incomplete" in problem_of(path)


def test_samples_that_were_never_stored_are_refused(tmp_path: Path) -> None:
    assert "incomplete" in problem_of(_added(written(tmp_path, fs=FS), shape=(10_000,), dtype="f8"))
    assert "at most" in problem_of(_added(written(tmp_path, fs=FS), shape=(10**12,), dtype="f8"))


def test_samples_in_another_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SIGNAL.tobytes())
    path = written(tmp_path, fs=FS)
    _added(path, shape=SIGNAL.shape, dtype="f8", external=[(str(tmp_path / "secret"), 0, SIGNAL.nbytes)])
    assert "in another file" in problem_of(path)


def test_links_are_refused(tmp_path: Path) -> None:
    for link in (h5py.ExternalLink("other.mat", "/ecg"), h5py.SoftLink("/fs")):
        path = written(tmp_path, fs=FS)
        with h5py.File(path, "r+") as file:
            file["ecg"] = link
        assert "is a link" in problem_of(path)


def test_virtual_samples_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, fs=FS)
    layout = h5py.VirtualLayout(shape=(10_000,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "ecg", shape=(10_000,))
    with h5py.File(path, "r+") as file:
        file.create_virtual_dataset("ecg", layout).attrs["MATLAB_class"] = np.bytes_("double")
    assert "in another file" in problem_of(path)


def test_an_unknown_compression_is_refused(tmp_path: Path) -> None:
    path = _added(written(tmp_path, fs=FS), data=SIGNAL, chunks=(1000,), compression="lzf")
    assert "unknown compression" in problem_of(path)


def test_chunks_that_grow_beyond_their_size_are_refused(tmp_path: Path) -> None:
    import zlib

    path = _added(written(tmp_path, fs=FS), shape=(2000,), dtype="f8", chunks=(1000,), compression=9)
    with h5py.File(path, "r+") as file:
        for start in (0, 1000):
            file["ecg"].id.write_direct_chunk((start,), zlib.compress(bytes(50_000_000), 9))
    assert "more than 8,000 bytes" in problem_of(path)


def test_structures_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, s={"fs": FS})
    with h5py.File(path, "r+") as file:
        file["s"]["s"] = file["s"]
    assert "more than 16 structures" in problem_of(path)


def test_groups_that_lead_to_the_same_ones_many_times_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, s={"fs": FS})
    with h5py.File(path, "r+") as file:
        groups = [file.create_group(f"g{number}") for number in range(13)]
        for outer, inner in itertools.pairwise(groups):
            for number in range(8):
                outer[f"m{number}"] = inner
    assert "has more than 2,000 named values, or the same ones several times" in problem_of(path)


def test_cells_that_lead_to_the_same_ones_many_times_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, fs=FS)
    with h5py.File(path, "r+") as file:
        inner = file["fs"]
        for number in range(12):
            references = np.array([inner.ref] * 100, h5py.ref_dtype)
            inner = file.create_dataset(f"#refs#/c{number}", data=references, dtype=h5py.ref_dtype)
            inner.attrs["MATLAB_class"] = np.bytes_("cell")
        file["c"] = inner
    assert "the same ones several times" in problem_of(path)


def test_a_large_array_in_a_small_file_is_refused(tmp_path: Path) -> None:
    path = _added(written(tmp_path, fs=FS), shape=(20_000_000,), dtype="f8", chunks=(20_000_000,), compression=9)
    with h5py.File(path, "r+") as file:
        file["ecg"][:10] = 1.0
    assert "at most 64,000,000 can be read from this file" in problem_of(path)


def test_a_large_chunk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.readers.arrays.hdf5._MAX_CHUNK_BYTES", 10_000)
    assert "24,000 bytes, which is too large" in problem_of(written(tmp_path, ecg=SIGNAL, fs=FS))
