"""Reading one WFDB record: signal in mV, sampling rate, leads, R peaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.ecg_data.readers.recording import (
    ALL_LEADS,
    AUTO_LEAD,
    BLOCK_SECONDS,
    MILLIVOLTS,
    PREFERRED_LEAD,
    ReadOptions,
    Recording,
    choose_columns,
)
from ecg_study.errors import RecordError

if TYPE_CHECKING:
    import wfdb

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""Annotation codes that mark a beat (WFDB's ``isqrs``); all others mark rhythm, noise or waves."""

_MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "v": 1e3}
_BITS_PER_SAMPLE = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12}


@dataclass(frozen=True)
class Record:
    """One record, with the leads that were asked for.

    Attributes:
        name: the record's name, such as ``"100"``.
        fs: sampling rate in Hz.
        leads: names of the leads, in the order of the columns of ``signal``.
        signal: float32 array of shape ``(samples, leads)``, in mV.
        r_peaks: int64 array of shape ``(beats,)``: strictly rising sample indices of the beat annotations;
            empty where annotations were not asked for.
        excluded_intervals: ``(start, end)`` in samples, end excluded: ventricular flutter (``[`` to ``]``), where no
            beats are annotated although the heart beats; excluded from training and evaluation.
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    signal: np.ndarray
    r_peaks: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    excluded_intervals: tuple[tuple[int, int], ...] = ()


def read_record(path: Path | str, lead: str = AUTO_LEAD, annotator: str | None = "atr") -> Record:
    """Read a WFDB record and its R peaks, and check that it can be trusted.

    Args:
        path: the record's path with or without the ending ``.hea``.
        lead: name of the lead; ``"auto"`` takes MLII where there is one, else the first; ``"all"`` takes all.
        annotator: ending of the annotation file; ``None`` reads no annotations.

    Raises:
        RecordError: a file is missing, truncated or does not match its header's checksum; the header names a file
            outside its folder; the lead is not there, flat, not a voltage or holds values that are no numbers;
            or there is no beat annotation.
    """
    path = Path(path)
    path = path.with_suffix("") if path.suffix == ".hea" else path
    with as_record_errors(path):
        return _read(path, lead, annotator)


@contextmanager
def as_record_errors(path: Path) -> Iterator[None]:
    """Make an error of the disk while a record is read an error of that record, so that others can go on."""
    try:
        yield
    except OSError as error:
        raise RecordError(error.filename or path, f"cannot be read ({error.strerror or error})") from error


def _read(path: Path, lead: str, annotator: str | None) -> Record:
    header = read_header(path)
    check_files(path, header)
    columns = _choose_leads(path, header, lead)
    signal = _read_signal(path, header, columns)
    names = tuple(header.sig_name[column] for column in columns)
    for index, name in enumerate(names):
        _check_lead(path, name, signal[:, index])
    if annotator is None:
        return Record(path.name, float(header.fs), names, signal)
    r_peaks, excluded_intervals = _read_annotations(path, annotator, float(header.fs), len(signal))
    return Record(path.name, float(header.fs), names, signal, r_peaks, excluded_intervals)


@dataclass(frozen=True)
class Annotations:
    """All annotations of a record, beats and others, in time.

    Attributes:
        samples: int64 sample indices, shape ``(annotations,)``.
        symbols: code of each, as WFDB has them.
        texts: auxiliary text of each, such as ``"(AFIB"`` where a rhythm begins; else empty.
        subtypes: of noise marks (``~``): which leads are noisy or unreadable, bit by bit.
    """

    samples: np.ndarray
    symbols: tuple[str, ...]
    texts: tuple[str, ...]
    subtypes: tuple[int, ...]


def read_annotations(path: Path, annotator: str = "atr") -> Annotations:
    """Read all annotations of a record.

    Raises:
        RecordError: the file is missing or no annotation file.
    """
    with as_record_errors(path):
        annotation = _open_annotations(path, annotator)
    texts = tuple((text or "").rstrip("\x00") for text in annotation.aux_note)
    samples = np.asarray(annotation.sample, dtype=np.int64)
    return Annotations(samples, tuple(annotation.symbol), texts, tuple(int(kind) for kind in annotation.subtype))


def record_files(path: Path, annotator: str | None = "atr") -> list[Path]:
    """The files that make up a record: header, signal files and annotations, each checked to exist."""
    header = read_header(path)
    files = [path.with_name(path.name + ".hea"), *check_files(path, header)]
    if annotator is not None:
        annotations = path.with_name(f"{path.name}.{annotator}")
        if not annotations.is_file():
            raise RecordError(annotations, "no annotations: the R peaks of a record are read from this file")
        files.append(annotations)
    return files


def read_header(path: Path) -> wfdb.Record:
    """The header of a WFDB record of one segment and one rate, named without ``.hea``.

    Raises:
        RecordError: there is none, or it is of a kind that is not read.
    """
    import wfdb

    if not path.name:
        raise RecordError(path, "is a folder; name a record in it")
    header_path = path.with_name(path.name + ".hea")
    if not header_path.is_file():
        raise RecordError(header_path, "no such file; a WFDB record is named by its header (.hea)")
    _check_header_text(header_path)
    try:
        header = wfdb.rdheader(str(path))
    except Exception as error:  # wfdb raises whatever its parsing trips over
        raise RecordError(header_path, f"not a WFDB header ({one_line(error)})") from error
    if isinstance(header, wfdb.MultiRecord):
        raise RecordError(header_path, "multi-segment records are not supported; join its segments first")
    if not header.n_sig or not header.file_name or not header.sig_name:
        raise RecordError(header_path, "the header describes no signal")
    if not header.fs or header.fs <= 0:
        raise RecordError(header_path, f"the sampling rate is {header.fs} Hz; it must be above 0")
    if any(frames != 1 for frames in header.samps_per_frame):
        raise RecordError(header_path, "its leads have different sampling rates; resample them to one rate first")
    return header


def _check_header_text(header_path: Path) -> None:
    """Refuse what wfdb would read as something else, and files outside the folder before they are touched.

    wfdb drops what is not ASCII, so that µV would be read as V, and takes a rate that it cannot read as 250 Hz.
    """
    lines = [line for line in header_path.read_bytes().splitlines() if line.strip() and not line.startswith(b"#")]
    if any(not line.isascii() for line in lines):
        raise RecordError(header_path, "holds letters that are not ASCII; write units as mV or uV")
    described = [line.decode("ascii").split() for line in lines]
    if described and len(described[0]) > 2:
        rate = described[0][2].split("/")[0].split("(")[0]
        if re.fullmatch(r"\d*\.?\d+\.?(e[+-]?\d{1,2})?", rate, re.IGNORECASE) is None:
            raise RecordError(header_path, f"the sampling rate {rate!r} is no number")
    for words in described[1:]:
        if "/" in words[0] or "\\" in words[0] or words[0] in {".", ".."}:
            problem = f"the header names the file {words[0]!r} outside its own folder; this is refused"
            raise RecordError(header_path, problem)


def check_files(path: Path, header: wfdb.Record) -> list[Path]:
    """The signal files of a record, checked to be there and as long as the header says."""
    files = []
    for name in dict.fromkeys(header.file_name):
        file = path.with_name(name)
        if not file.is_file():
            raise RecordError(file, "missing; the header names it as the file of the signal")
        _check_size(file, header)
        files.append(file)
    return files


def _check_size(file: Path, header: wfdb.Record) -> None:
    members = [i for i, name in enumerate(header.file_name) if name == file.name]
    bits = _BITS_PER_SAMPLE.get(str(header.fmt[members[0]]))
    if bits is None or not header.sig_len:
        return  # a compressed format, or a header without a length: the reader itself will tell
    offset = header.byte_offset[members[0]] or 0
    expected = offset + (header.sig_len * len(members) * bits + 7) // 8
    actual = file.stat().st_size
    if actual < expected:
        raise RecordError(file, f"truncated: {actual:,} bytes where the header asks for {expected:,}")


def _choose_leads(path: Path, header: wfdb.Record, lead: str) -> list[int]:
    names = list(header.sig_name)
    if len(set(names)) < len(names):
        raise RecordError(path, f"has two leads of one name ({', '.join(names)}); rename one in its header")
    if lead == ALL_LEADS:
        return list(range(len(names)))
    if lead == AUTO_LEAD:
        return [names.index(PREFERRED_LEAD) if PREFERRED_LEAD in names else 0]
    if lead not in names:
        raise RecordError(path, f"has no lead {lead!r}, only {', '.join(names)}; choose with --lead")
    return [names.index(lead)]


def _read_signal(path: Path, header: wfdb.Record, columns: list[int]) -> np.ndarray:
    import wfdb

    try:
        record = wfdb.rdrecord(str(path), physical=False)
        sums = record.calc_checksum()
    except Exception as error:  # wfdb raises whatever its parsing trips over
        raise RecordError(path, f"cannot be read as a WFDB record ({one_line(error)})") from error
    for name, found, written in zip(record.sig_name, sums, header.checksum, strict=True):
        # Headers hold the sum of the samples modulo 2¹⁶, as a signed or as an unsigned number.
        if written is not None and (found - written) % 65536:
            problem = f"lead {name}: checksum {found} where the header says {written % 65536}; the signal is damaged"
            raise RecordError(path, problem)
    signal = record.dac()[:, columns]
    for index, column in enumerate(columns):
        unit = str(header.units[column] or "mV")
        if unit.lower() not in _MILLIVOLTS:
            raise RecordError(path, f"lead {header.sig_name[column]} is in {unit}, which is no voltage")
        signal[:, index] *= _MILLIVOLTS[unit.lower()]
    return np.ascontiguousarray(signal, dtype=np.float32)


def _check_lead(path: Path, name: str, values: np.ndarray) -> None:
    if not len(values):
        raise RecordError(path, "holds no samples")
    bad = ~np.isfinite(values)
    if bad.any():
        problem = f"lead {name}: {bad.sum():,} samples are missing (NaN), the first at sample {bad.argmax():,}"
        raise RecordError(path, problem)
    if np.ptp(values) == 0:
        raise RecordError(path, f"lead {name} is flat: every sample is {values[0]:g} mV")


def _read_annotations(
    path: Path, annotator: str, fs: float, samples: int
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    file = path.with_name(f"{path.name}.{annotator}")
    annotation = _open_annotations(path, annotator)
    if annotation.fs and annotation.fs != fs:
        raise RecordError(file, f"its times are at {annotation.fs:g} Hz, the signal is at {fs:g} Hz")
    is_beat = np.array([symbol in BEAT_SYMBOLS for symbol in annotation.symbol], dtype=bool)
    r_peaks = np.unique(np.asarray(annotation.sample, dtype=np.int64)[is_beat])
    if not len(r_peaks):
        raise RecordError(file, "holds no beat annotation")
    if r_peaks[0] < 0 or r_peaks[-1] >= samples:
        wrong = r_peaks[0] if r_peaks[0] < 0 else r_peaks[-1]
        raise RecordError(file, f"a beat is annotated at sample {wrong:,}, outside the {samples:,} of the signal")
    return r_peaks, _flutter(annotation, samples)


def _open_annotations(path: Path, annotator: str) -> Any:
    import wfdb

    file = path.with_name(f"{path.name}.{annotator}")
    if not file.is_file():
        raise RecordError(file, "no annotations: the R peaks of a record are read from this file")
    try:
        return wfdb.rdann(str(path), annotator)
    except Exception as error:  # wfdb raises whatever its parsing trips over
        raise RecordError(file, f"not a WFDB annotation file ({one_line(error)})") from error


def _flutter(annotation: Any, samples: int) -> tuple[tuple[int, int], ...]:
    """The stretches from ``[`` to ``]``; one that is never closed lasts to the end of the record."""
    stretches: list[tuple[int, int]] = []
    start: int | None = None
    for sample, symbol in zip(annotation.sample, annotation.symbol, strict=True):
        if symbol == "[" and start is None:
            start = int(sample)
        elif symbol == "]" and start is not None:
            stretches.append((start, int(sample) + 1))
            start = None
    if start is not None:
        stretches.append((start, samples))
    return tuple(stretches)


def one_line(error: Exception) -> str:
    """An error's text without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def open_wfdb(path: Path, options: ReadOptions) -> Recording:
    """Open a WFDB record.

    Args:
        path: its header, with or without ``.hea``.
        options: the lead; a WFDB record tells everything else itself.

    Raises:
        RecordError: a file is missing or too short, the header is none or names a file outside its folder, the lead is
            not there, or is no voltage.
    """
    if path.suffix != ".hea" and path.suffix.lower() == ".hea":
        raise RecordError(path, "the files of a WFDB record have endings in small letters; rename them (.hea, .dat)")
    path = path.with_suffix("") if path.suffix == ".hea" else path
    with as_record_errors(path):
        header = read_header(path)
        check_files(path, header)
    lead = PREFERRED_LEAD if options.lead == AUTO_LEAD and PREFERRED_LEAD in header.sig_name else options.lead
    # A WFDB record's first lead is the one it is known by.
    columns = [0] if lead == AUTO_LEAD else choose_columns(path, header.sig_name, lead)
    factors = [_factor(path, header, column) for column in columns]
    fs = float(header.fs)
    names = tuple(header.sig_name[column] for column in columns)
    samples = int(header.sig_len) if header.sig_len else _length(path)
    block = round(BLOCK_SECONDS * fs)

    def blocks() -> Iterator[np.ndarray]:
        sums = np.zeros(len(columns), np.int64)
        for start in range(0, samples, block):
            digital, physical = _read_block(path, start, min(samples, start + block), columns)
            sums += digital
            yield physical * factors
        _check_sums(path, header, columns, sums)

    return Recording(path.with_name(path.name + ".hea"), path.name, fs, names, samples, blocks)


def _read_block(path: Path, start: int, end: int, columns: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the digital samples, and the physical ones."""
    import wfdb

    with as_record_errors(path):
        try:
            record = wfdb.rdrecord(str(path), sampfrom=start, sampto=end, channels=columns, physical=False)
            sums = record.d_signal.sum(axis=0, dtype=np.int64)
            return sums, record.dac()
        except OSError:
            raise
        except Exception as error:  # wfdb raises whatever its parsing trips over
            raise RecordError(path, f"cannot be read as a WFDB record ({one_line(error)})") from error


def _length(path: Path) -> int:
    import wfdb

    with as_record_errors(path):
        try:
            return int(wfdb.rdrecord(str(path), physical=False).sig_len)
        except OSError:
            raise
        except Exception as error:  # likewise
            raise RecordError(path, f"cannot be read as a WFDB record ({one_line(error)})") from error


def _factor(path: Path, header: Any, column: int) -> float:
    unit = str(header.units[column] or "mV")
    if unit.lower() not in MILLIVOLTS:
        raise RecordError(path, f"lead {header.sig_name[column]} is in {unit}, which is no voltage")
    return MILLIVOLTS[unit.lower()]


def _check_sums(path: Path, header: Any, columns: list[int], sums: np.ndarray) -> None:
    """Headers hold the sum of the samples modulo 2¹⁶, as a signed or as an unsigned number."""
    for column, found in zip(columns, sums.tolist(), strict=True):
        written = header.checksum[column] if header.checksum else None
        if written is not None and (found - written) % 65536:
            problem = f"checksum {found % 65536} where the header says {written % 65536}; the signal is damaged"
            raise RecordError(path, f"lead {header.sig_name[column]}: {problem}")
