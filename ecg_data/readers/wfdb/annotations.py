"""Annotations of WFDB records: beats, rhythms and noise marks."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.recording import as_record_errors
from ecg_study.errors import RecordError

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""Annotation codes of beats (``isqrs`` in WFDB); all other codes mark rhythms, noise or waves."""

_MAX_BYTES = 10_000_000
"""Largest annotation file; one of 24 hours has less than a tenth of it."""

_SAME_RATE = 1e-5
"""Largest relative difference of two spellings of one sampling rate, which have as few as six digits."""

_NOTE = 22
_SKIP, _SUBTYPE, _TEXT = 59, 61, 63
_FIRST_FIELD = 60
"""Codes from here on add a field to the annotation before: number, subtype, signal, text."""


@dataclass(frozen=True)
class Annotations:
    """All annotations of a record in order of time.

    Attributes:
        samples: int64 sample indices, shape ``(annotations,)``.
        symbols: WFDB codes.
        texts: auxiliary texts, such as ``"(AFIB"`` where a rhythm begins; empty for most annotations.
        subtypes: for noise marks (``~``), bits for the noisy and unreadable leads.
        fs: sampling rate of the sample indices in Hz; ``None`` if the file does not state it.
    """

    samples: np.ndarray
    symbols: tuple[str, ...]
    texts: tuple[str, ...]
    subtypes: tuple[int, ...]
    fs: float | None = None


def read_annotations(path: Path, *, annotator: str = "atr") -> Annotations:
    """Read all annotations of a record.

    Raises:
        RecordError: the file is missing or damaged.
    """
    with as_record_errors(path):
        return _open(path, annotator)


def annotation_file(path: Path, *, annotator: str) -> Path:
    """Return the annotation file of a record.

    Raises:
        RecordError: it is missing.
    """
    file = path.with_name(f"{path.name}.{annotator}")
    if not file.is_file():
        problem = (
            "no annotations; the R peaks of a record are read from this file; set annotator if it has another extension"
        )
        raise RecordError(file, problem, parameters=("annotator",))
    return file


def read_r_peaks(
    path: Path, *, annotator: str, fs: float, samples: int, symbols: Collection[str] = BEAT_SYMBOLS
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Read the R peaks and the intervals of ventricular flutter of a record.

    Args:
        path: path of the record without extension.
        annotator: extension of the annotation file.
        fs: sampling rate of the signal in Hz.
        samples: length of the signal.
        symbols: annotation codes of beats.

    Returns:
        Strictly increasing sample indices, int64; and intervals ``(start, end)`` in samples, end excluded.

    Raises:
        RecordError: the file is missing or damaged, has no beats, or does not belong to the signal.
    """
    file = path.with_name(f"{path.name}.{annotator}")
    annotation = _open(path, annotator)
    if annotation.fs is not None and not math.isclose(annotation.fs, fs, rel_tol=_SAME_RATE):
        raise RecordError(file, f"its times are at {annotation.fs:.9g} Hz, but the signal has {fs:.9g} Hz")
    is_beat = np.array([symbol in symbols for symbol in annotation.symbols], dtype=bool)
    r_peaks = np.unique(annotation.samples[is_beat])
    if not len(r_peaks):
        raise RecordError(file, "no beat annotation")
    if r_peaks[0] < 0 or r_peaks[-1] >= samples:
        wrong = r_peaks[0] if r_peaks[0] < 0 else r_peaks[-1]
        raise RecordError(file, f"a beat is annotated at sample {wrong:,}, but the signal has {samples:,} samples")
    return r_peaks, _flutter(annotation, samples)


def _open(path: Path, annotator: str) -> Annotations:
    file = annotation_file(path, annotator=annotator)
    size = file.stat().st_size
    if size > _MAX_BYTES:
        raise RecordError(file, f"{size:,} bytes; an annotation file of at most {_MAX_BYTES:,} bytes can be read")
    return _Decoder(file, np.fromfile(file, "<u2", size // 2)).decode()


class _Decoder:
    """Decoder of an annotation file in MIT format.

    Args:
        file: path of the file, for messages.
        words: the file as integers of 16 bits. The upper six bits of a word are a code, the lower ten a value.

    References:
        WFDB Applications Guide, annot(5), https://physionet.org/physiotools/wag/annot-5.htm.
    """

    def __init__(self, file: Path, words: np.ndarray) -> None:
        self._file = file
        self._words: list[int] = words.tolist()
        self._symbols = _standard_symbols()
        self._fs: float | None = None
        self._defining = False

    def decode(self) -> Annotations:
        """Return the annotations without the notes at the start that describe the file."""
        samples: list[int] = []
        symbols: list[str] = []
        texts: list[str] = []
        subtypes: list[int] = []
        for time, code, text, subtype in self._annotations():
            # Code 0 marks no event; writers use it to step back to the start of the signal.
            if not code or (code == _NOTE and time == 0 and self._describes_file(text)):
                continue
            samples.append(time)
            symbols.append(self._symbols.get(code, f"code {code}"))
            texts.append(text)
            subtypes.append(subtype)
        return Annotations(np.array(samples, np.int64), tuple(symbols), tuple(texts), tuple(subtypes), fs=self._fs)

    def _annotations(self) -> Iterator[tuple[int, int, str, int]]:
        """Yield sample, code, text and subtype of each annotation."""
        words, place, time = self._words, 0, 0
        while True:
            code, value, place = self._next(place)
            if not code and not value:
                return
            if code == _SKIP:
                high, low = self._word(place), self._word(place + 1)
                skipped = high << 16 | low
                time += skipped - (1 << 32 if skipped >= 1 << 31 else 0)
                place += 2
                continue
            if code >= _FIRST_FIELD:
                raise RecordError(
                    self._file, f"not a WFDB annotation file: word {place - 1:,} belongs to no annotation"
                )
            time += value
            text, subtype = "", 0
            while place < len(words) and words[place] >> 10 > _SKIP:
                field, value, place = self._next(place)
                if field == _TEXT:
                    text = self._text(place, value)
                    place += (value + 1) // 2
                elif field == _SUBTYPE:
                    subtype = (value & 0xFF) - (256 if value & 0x80 else 0)
            yield time, code, text, subtype

    def _next(self, place: int) -> tuple[int, int, int]:
        word = self._word(place)
        return word >> 10, word & 0x3FF, place + 1

    def _word(self, place: int) -> int:
        if place >= len(self._words):
            raise RecordError(self._file, "truncated: it ends without the mark of its end")
        return self._words[place]

    def _text(self, place: int, length: int) -> str:
        count = (length + 1) // 2
        self._word(place + count - 1 if count else place)
        return np.array(self._words[place : place + count], "<u2").tobytes()[:length].decode("latin-1").rstrip("\0")

    def _rate(self, text: str) -> float:
        if re.fullmatch(r"\+?(?:[0-9]{1,20}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?", text):
            fs = float(text)
            if fs > 0:
                return fs
        raise RecordError(self._file, f"the time resolution {text[:40]!r} is not a sampling rate in Hz; correct it")

    def _describes_file(self, text: str) -> bool:
        """Return whether a note at the start describes the file: its sampling rate, or its own codes."""
        if self._defining:
            if text.startswith("## end of definitions"):
                self._defining = False
                return True
            words = text.split(maxsplit=2)
            if len(words) < 2 or not words[0].isdecimal():
                return False
            self._symbols[int(words[0])] = words[1]
            return True
        found = re.match(r"##\s*time resolution:(.*)", text, re.DOTALL)
        if found:
            self._fs = self._rate(found[1].strip())
            return True
        if text.startswith("## annotation type definitions"):
            self._defining = True
            return True
        return False


def _standard_symbols() -> dict[int, str]:
    from wfdb.io.annotation import ann_labels

    return {int(label.label_store): str(label.symbol) for label in ann_labels}


def _flutter(annotation: Annotations, samples: int) -> tuple[tuple[int, int], ...]:
    """Return the intervals from ``[`` to ``]``; one that is never closed ends with the record."""
    intervals: list[tuple[int, int]] = []
    start: int | None = None
    for sample, symbol in zip(annotation.samples.tolist(), annotation.symbols, strict=True):
        if symbol == "[" and start is None:
            start = int(sample)
        elif symbol == "]" and start is not None:
            intervals.append((start, int(sample) + 1))
            start = None
    if start is not None:
        intervals.append((start, samples))
    return tuple(intervals)
