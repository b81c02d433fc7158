"""The content decides what a file is; leads are known by position; all formats give the same recording."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.readers.leads import is_ecg_lead, is_other_signal, lead_labels
from ecg_study.ecg_data.readers.opening import find_recordings, recording_name
from ecg_study.ecg_data.readers.wfdb import read_annotations, read_record
from ecg_study.errors import RecordError
from tests.recordings import (
    FS,
    SIGNAL,
    TIMES,
    ecg,
    edit_header,
    is_signal,
    opened,
    problem_of,
    read,
    write_edf,
    write_table,
    write_wfdb,
)

# Content


@pytest.mark.parametrize("ending", [".bdf", ".csv", ".npy", ".dat", ".EDF", ".txt", ""])
def test_an_edf_file_is_read_under_any_name(tmp_path: Path, ending: str) -> None:
    is_signal(read(write_edf(tmp_path / f"night{ending}", SIGNAL)))


@pytest.mark.parametrize("ending", [".npy", ".edf", ".asc", ".log", ".CSV"])
def test_a_table_is_read_under_any_name(tmp_path: Path, ending: str) -> None:
    write_table(tmp_path / f"export{ending}", "time_s,ecg", TIMES, SIGNAL)
    is_signal(read(tmp_path / f"export{ending}"))


def test_an_array_is_read_under_any_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", SIGNAL)
    (tmp_path / "a.npy").rename(tmp_path / "a.csv")
    is_signal(read(tmp_path / "a.csv", fs=FS))


@pytest.mark.parametrize("kind", ["edf", "csv", "npy"])
@pytest.mark.parametrize("named", [True, False])
def test_files_compressed_with_gzip_are_read(tmp_path: Path, kind: str, named: bool) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "edf":
        write_edf(path, SIGNAL)
    elif kind == "csv":
        write_table(path, "time_s,ecg", TIMES, SIGNAL)
    else:
        np.save(path, SIGNAL)
    packed = tmp_path / (f"b.{kind}.gz" if named else f"b.{kind}")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    options = {"fs": FS} if kind == "npy" else {}
    recording = opened(packed, **options)
    is_signal(np.concatenate(list(recording.blocks())))
    is_signal(np.concatenate(list(recording.blocks())))
    assert recording.path == packed and recording_name(packed) == "b"


def test_a_file_compressed_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(gzip.compress(b"ecg\n0.5\n0.25\n")))
    assert "compressed twice" in problem_of(tmp_path / "a.csv.gz")


def test_a_file_that_decompresses_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.ecg_data.readers.arrays.unpacking.MAX_UNPACKED_BYTES", 1_000_000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(bytes(2_000_000)))
    assert "its content does not fit" in problem_of(tmp_path / "a.csv.gz")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"%PDF-1.7\n\x00", "is a PDF document"),
        (b"PK\x03\x04\x00\x00", "ZIP archive"),
        (b"\x89PNG\r\n\x1a\n\x00", "is a PNG image"),
        (b"BZh91AY\x00", "decompress it"),
        (b"\x7fELF\x02\x01\x00", "is a program"),
        (bytes(5000), "not a text table"),
        (b"", "empty"),
        (b"{}", "no rows"),
        (b'{"ecg": [0.1, 0.2]}\n' * 3, "not a table of numbers"),
        (b"<html>\n<body>\n</body>\n</html>\n", "is XML or HTML"),
        (b"just\na\nletter\nto\nyou\n", "not a table of numbers"),
        (b"\n\n\n", "empty"),
        (b"# only\n# comments\n", "contains only comments"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert problem in problem_of(tmp_path / "a.csv", fs=FS)


@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.edf", "a.hea", "a.dat"])
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert "not a file" in problem_of(tmp_path / name, fs=FS)
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    assert "a device, not a file" in problem_of(tmp_path / "zero.csv", fs=FS)


def test_a_pipe_in_place_of_a_signal_file_is_refused(tmp_path: Path) -> None:
    record = write_wfdb(tmp_path, SIGNAL)
    record.with_suffix(".dat").unlink()
    os.mkfifo(record.with_suffix(".dat"))
    assert problem_of(record) == "is not a file"


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1.5," * 5_000_000)
    assert "line 1 is longer than 1,000,000 bytes" in problem_of(tmp_path / "a.csv", fs=FS)


def test_a_folder_lists_recordings_by_name(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.edf", "c.txt.GZ", "d.gz", "e.md"):
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in find_recordings(tmp_path)] == ["a.csv.gz", "b.edf", "c.txt.GZ"]


# Names


@given(st.lists(st.one_of(st.none(), st.text(max_size=6), st.sampled_from(["ECG", "ECG_1", "lead_2", ""])), max_size=8))
def test_labels_are_unique_printable_and_not_empty(names: list[str | None]) -> None:
    labels = lead_labels(names)
    assert len(set(labels)) == len(labels) == len(names)
    assert all(label and label.isprintable() for label in labels)
    plain = [" ".join(name.split()) for name in names if name and name.isprintable()]
    assert all(name in labels for name in plain if name and plain.count(name) == 1 and len(plain) == len(names))


@pytest.mark.parametrize("name", ["II", "aVR", "V5", "MLII", "ECG1", "ecg_uV", "Lead I", "EKG (mV)", "D3", "mod.V1"])
def test_names_of_ecg_leads(name: str) -> None:
    assert is_ecg_lead(name) and not is_other_signal(name)


@pytest.mark.parametrize(
    "name", ["spo2", "ABP", "resp", "time_s", "R_peak", "index", "acc_x", "EEG C3", "sample number"]
)
def test_names_of_other_signals(name: str) -> None:
    assert is_other_signal(name) and not is_ecg_lead(name)


def without_names(record: Path) -> Path:
    header = record.with_suffix(".hea")
    first, *lines = header.read_text().splitlines()
    header.write_text("\n".join([first, *(" ".join(line.split()[:8]) for line in lines)]) + "\n")
    return record


WRITERS: dict[str, Callable[[Path, str, str], Path]] = {
    "wfdb": lambda folder, a, b: write_wfdb(folder, SIGNAL, SIGNAL / 2, names=(a, b)),
    "edf": lambda folder, a, b: write_edf(folder / "r.edf", SIGNAL, SIGNAL / 2, labels=(a, b)),
    "csv": lambda folder, a, b: table(folder / "r.csv", f"time_s,{a},{b}", SIGNAL, SIGNAL / 2),
}


def table(path: Path, header: str, *leads: np.ndarray) -> Path:
    write_table(path, header, TIMES, *leads)
    return path


@pytest.mark.parametrize("kind", WRITERS)
def test_leads_of_one_name_are_told_apart(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path, "ECG", "ECG")
    assert opened(path, lead="all").leads == ("ECG_1", "ECG_2")
    found = read(path, lead="all")
    is_signal(found)
    is_signal(2 * found[:, 1:], within=0.002)
    is_signal(2 * read(path, lead="ECG_2"), within=0.002)
    is_signal(2 * read(path, lead="2"), within=0.002)
    assert "2 leads are named 'ECG'" in problem_of(path, lead="ECG").replace("columns", "leads")
    assert "'II' is not among its" in problem_of(path, lead="II")


def test_leads_without_names_have_their_position(tmp_path: Path) -> None:
    record = without_names(write_wfdb(tmp_path, SIGNAL, SIGNAL / 2))
    assert opened(record, lead="all").leads == ("lead_1", "lead_2")
    is_signal(2 * read(record, lead="lead_2"), within=0.002)
    assert "choose a lead" in problem_of(record)
    path = write_edf(tmp_path / "a.edf", SIGNAL, SIGNAL / 2, labels=("", ""))
    assert opened(path, lead="all").leads == ("lead_1", "lead_2")


@pytest.mark.parametrize("lead", ["²", "0", "3", "-1", "1.0", "", "II ", "all leads", "\x1b[2J"])
def test_a_lead_that_is_not_there_is_named(tmp_path: Path, lead: str) -> None:
    np.save(tmp_path / "a.npy", np.column_stack([SIGNAL, SIGNAL / 2]))
    with pytest.raises(RecordError, match="is not among its columns") as caught:
        read(tmp_path / "a.npy", fs=FS, lead=lead)
    assert caught.value.parameter == "lead"


def test_leads_that_differ_in_their_unit_alone_are_two(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "time_s,ecg (mV),ecg (uV)", SIGNAL, SIGNAL * 500)
    assert opened(path, lead="all").leads == ("ecg_1", "ecg_2")
    is_signal(2 * read(path, lead="ecg (uV)"), within=0.002)


def test_only_voltages_are_leads(tmp_path: Path) -> None:
    columns = (SIGNAL, 90 + 20 * SIGNAL, np.full(len(SIGNAL), 97.5), TIMES + 1.7e9 + 0.25)
    path = table(tmp_path / "a.csv", "time_s,II (mV),abp (mmHg),spo2 (%),timestamp", *columns)
    assert opened(path, lead="all").leads == ("II",)
    path = table(tmp_path / "b.csv", "time_s,II,abp,spo2,resp", *columns)
    assert opened(path, lead="all").leads == ("II",)
    write_table(tmp_path / "c.csv", ",ecg_mV", TIMES, SIGNAL)
    assert opened(tmp_path / "c.csv", lead="all", fs=FS).leads == ("ecg",)
    record = write_wfdb(tmp_path, SIGNAL, SIGNAL, names=("II", "ABP"))
    header = record.with_suffix(".hea")
    lines = header.read_text().splitlines()
    header.write_text("\n".join([*lines[:2], lines[2].replace("/mV", "/mmHg")]) + "\n")
    assert opened(record, lead="all").leads == ("II",)
    assert "unit 'mmHg' is not a voltage" in problem_of(record, lead="ABP")


@pytest.mark.parametrize(
    ("names", "usual"),
    [
        *((("V5", "II"), "II"), (("II", "MLII"), "MLII"), (("V2", "V5"), "V2"), (("ECG1", "ECG2"), "ECG1")),
        *((("resp", "ecg"), "ecg"), (("I", "aVF"), "I"), (("EEG C3", "EKG"), "EKG"), (("x1", "x2"), None)),
        *((("C3", "C4"), None), (("Lead II", "V1"), "Lead II")),
    ],
)
def test_the_usual_lead_is_the_same_in_all_formats(tmp_path: Path, names: tuple[str, str], usual: str | None) -> None:
    for kind, write in WRITERS.items():
        path = write(tmp_path / kind if kind == "wfdb" else tmp_path, *names)
        if usual is None:
            assert "has the name of an ECG lead; choose a lead, or 'all'" in problem_of(path)
        else:
            assert opened(path).leads == (usual,)


# Formats alike


def test_all_formats_give_the_same_recording(tmp_path: Path) -> None:
    signal = ecg(700.0)  # longer than a block
    times = np.arange(len(signal)) / FS
    write_table(tmp_path / "a.csv", "time_s,ecg", times, signal)
    np.save(tmp_path / "a.npy", signal)
    paths = [write_wfdb(tmp_path, signal, names=("ecg",)), write_edf(tmp_path / "a.edf", signal), tmp_path / "a.csv"]
    paths += [write_edf(tmp_path / "a.bdf", signal, bits=24)]
    for path in paths:
        is_signal(read(path), signal)
        assert opened(path).fs == FS
    is_signal(read(tmp_path / "a.npy", fs=FS), signal)


def write_differences(folder: Path, signal: np.ndarray, *, line: str) -> Path:
    """Write a record in format 8, whose samples are differences of at most 127, and return its path."""
    digital = np.round(signal * 60).astype(np.int64)
    steps = np.diff(digital, prepend=digital[0])
    assert np.abs(steps).max() <= 127
    (folder / "r.dat").write_bytes(steps.astype(np.int8).tobytes())
    fields = line.format(first=digital[0], checksum=int(digital.sum()) % 65536)
    (folder / "r.hea").write_text(f"r 1 250 {len(digital)}\nr.dat {fields}\n")
    return folder / "r"


@pytest.mark.parametrize("skew", [0, 25])
def test_format_8_is_read_over_blocks(tmp_path: Path, skew: int) -> None:
    signal = np.round(60 * (ecg(660.0) + np.arange(660 * 250) / (660 * 250))) / 60
    layout = f"8:{skew}" if skew else "8"
    record = write_differences(tmp_path, signal, line=layout + " 60(0)/mV 12 0 {first} {checksum} 0 II")
    found = read(record)
    wanted = np.concatenate([signal[skew:], np.full(skew, np.nan)])
    is_signal(found, wanted)


def test_a_skewed_lead_is_read_at_its_place(tmp_path: Path) -> None:
    record = write_wfdb(tmp_path, SIGNAL, SIGNAL / 2)
    header = record.with_suffix(".hea")
    first, late, other = header.read_text().splitlines()
    header.write_text("\n".join([first, late.replace(" 16 1000", " 16:25 1000"), other]) + "\n")
    found = read(record, lead="all")
    is_signal(found, np.concatenate([SIGNAL[25:], np.full(25, np.nan)]))
    is_signal(2 * found[:, 1:], within=0.002)


def test_a_wfdb_header_without_a_length_has_that_of_its_file(tmp_path: Path) -> None:
    record = write_wfdb(tmp_path, SIGNAL)
    is_signal(read(edit_header(record, "r 1 250 10000", "r 1 250")))
    assert "states 0 samples" in problem_of(edit_header(record, "r 1 250", "r 1 250 0"))
    edit_header(record, "r 1 250 0", "r 1 250")
    record.with_suffix(".dat").write_bytes(record.with_suffix(".dat").read_bytes() + b"\0")
    assert "is not that of whole samples" in problem_of(record)


@pytest.mark.parametrize("fmt", ["80", "16", "24", "32", "61", "160", "212", "310", "311"])
def test_wfdb_formats_are_read(tmp_path: Path, fmt: str) -> None:
    signal = np.round(20 * ecg(700.0)) / 20
    written = {"61": "16", "160": "16", "310": "212", "311": "212"}.get(fmt, fmt)
    wfdb.wrsamp(
        "r", 250, ["mV"], ["II"], signal[:, None], fmt=[written], adc_gain=[20], baseline=[0], write_dir=str(tmp_path)
    )
    if written == fmt:
        is_signal(read(tmp_path / "r"), signal)
        return
    digital = np.round(20 * signal).astype(np.int64)
    if fmt == "61":
        content = digital.astype(">i2").tobytes()
    elif fmt == "160":
        content = (digital + 32768).astype("<u2").tobytes()
    else:
        content = packed_in_30_bits(digital, fmt)
    (tmp_path / "r.dat").write_bytes(content)
    edit_header(tmp_path / "r", f"r.dat {written} ", f"r.dat {fmt} ")
    is_signal(read(tmp_path / "r"), signal)


def packed_in_30_bits(digital: np.ndarray, fmt: str) -> bytes:
    """Pack three samples of ten bits in 32 bits, as signal(5) of the WFDB software says."""
    triples = (np.pad(digital, (0, -len(digital) % 3)) % 1024).reshape(-1, 3)
    content = b""
    for a, b, c in triples.tolist():
        if fmt == "311":
            content += struct.pack("<I", a | b << 10 | c << 20)
        else:
            first = a << 1 | (c & 0x1F) << 11
            second = b << 1 | (c >> 5) << 11
            content += struct.pack("<HH", first, second)
    return content


# Annotations


def annotation_file(folder: Path, *parts: bytes) -> Path:
    write_wfdb(folder, SIGNAL)
    (folder / "r.atr").write_bytes(b"".join(parts))
    return folder / "r"


def note(text: bytes) -> bytes:
    return bytes([0, 22 << 2, len(text), 63 << 2]) + text + b"\0" * (len(text) % 2)


BEATS = b"\x64\x04" * 5 + b"\0\0"


@pytest.mark.parametrize("text", [b"## hello", b"##", b"## end of definitions", b"\xff\x1b"])
def test_a_note_at_the_first_sample_is_an_annotation(tmp_path: Path, text: bytes) -> None:
    found = read_annotations(annotation_file(tmp_path, note(text), BEATS))
    assert found.samples.tolist() == [0, 100, 200, 300, 400, 500]
    assert found.texts[0] == text.decode("latin-1") and found.fs is None


def test_the_rate_and_the_codes_of_annotations_are_read(tmp_path: Path) -> None:
    parts = [b"## time resolution: 250", b"## annotation type definitions", b"1 Z own beat", b"## end of definitions"]
    found = read_annotations(annotation_file(tmp_path, *map(note, parts), BEATS))
    assert (found.fs, found.symbols, found.samples[0]) == (250.0, ("Z",) * 5, 100)


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_truncated_annotations_are_refused(tmp_path: Path, cut: int) -> None:
    record = annotation_file(tmp_path, BEATS[:-cut])
    with pytest.raises(RecordError, match="truncated"):
        read_annotations(record)


def test_annotations_agree_with_the_wfdb_package(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = np.cumsum(rng.integers(1, 3000, 500)) + np.arange(500) * 40
    symbols = rng.choice(list("NVLR~+|sT"), 500).tolist()
    texts = [f"({'x' * int(n)}" if s == "+" else "" for s, n in zip(symbols, rng.integers(0, 60, 500), strict=True)]
    kinds = rng.integers(-3, 4, 500)
    wfdb.wrann("r", "atr", samples, symbols, aux_note=texts, subtype=kinds, fs=250, write_dir=str(tmp_path))
    found, wanted = read_annotations(tmp_path / "r"), wfdb.rdann(str(tmp_path / "r"), "atr")
    np.testing.assert_array_equal(found.samples, wanted.sample)
    assert found.symbols == tuple(wanted.symbol) and found.subtypes == tuple(wanted.subtype.tolist())
    assert found.texts == tuple(texts) and found.fs == 250.0


def test_annotations_of_real_databases_agree_with_the_wfdb_package(real_data: Path) -> None:
    for path in sorted(real_data.glob("*/*.atr"))[::9]:
        found, wanted = read_annotations(path.with_suffix("")), wfdb.rdann(str(path.with_suffix("")), "atr")
        np.testing.assert_array_equal(found.samples, wanted.sample)
        assert found.symbols == tuple(wanted.symbol)


def test_signals_of_real_databases_agree_with_the_wfdb_package(real_data: Path) -> None:
    for path in sorted(real_data.glob("*/*.hea"))[::20]:
        found = read_record(path, lead="all", annotator=None)
        wanted = wfdb.rdrecord(str(path.with_suffix("")))
        np.testing.assert_array_equal(found.signal, wanted.p_signal.astype(np.float32))
