"""Excerpts with the most errors of the detector, and what the annotations and the signal show there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.readers.wfdb import read_header
from ecg_study.ecg_data.readers.wfdb.annotations import BEAT_SYMBOLS, Annotations, read_annotations
from ecg_study.evaluation.experiments.denoising import round_to_microvolts
from ecg_study.evaluation.experiments.r_peaks import samples_within
from ecg_study.evaluation.leads import EvaluationLead, databases_of, match
from ecg_study.evaluation.results.detection import Failure
from ecg_study.evaluation.results.values import TOLERANCES_MS
from ecg_study.inference.r_peaks import RPeaks

EXCERPT_SECONDS = 6.0

MAX_FAILURES = 20

_MAX_PER_RECORD = 5
"""One bad record must not hide the failures in others."""

_RHYTHMS = {
    "(AFIB": "atrial fibrillation",
    "(AFL": "atrial flutter",
    "(VFL": "ventricular flutter",
    "(VT": "ventricular tachycardia",
    "(B": "ventricular bigeminy",
    "(T": "ventricular trigeminy",
    "(SVTA": "supraventricular tachyarrhythmia",
    "(PREX": "pre-excitation",
    "(P": "paced rhythm",
    "(BII": "second degree heart block",
    "(NOD": "nodal rhythm",
    "(IVR": "idioventricular rhythm",
    "(AB": "atrial bigeminy",
}

_BEATS = {
    "V": "premature ventricular",
    "F": "fusion",
    "/": "paced",
    "f": "fusion of paced and normal",
    "E": "ventricular escape",
    "j": "nodal escape",
    "J": "premature nodal",
    "A": "premature atrial",
    "a": "aberrated premature atrial",
    "S": "premature supraventricular",
    "e": "atrial escape",
    "r": "R-on-T",
    "Q": "unclassifiable",
    "?": "unclassifiable",
    "n": "supraventricular escape",
}
"""Beat types other than normal and bundle branch block."""

_FLAT = 0.5  # seconds of a pause, or of a lead that is off
_STILL = 0.02  # mV: range of a flat line, four steps of the converter of MIT-BIH
_MEDIAN = 0.6  # seconds: the longer of the two median filters of de Chazal et al. (2004) against baseline wander
_RESTLESS = 1.0  # mV: the baseline moves by as much as a QRS complex is high
_SMALL = 0.4  # share of the record's median below which QRS complexes are reported as small
_T_WAVE = (0.15, 0.45)  # seconds after an R peak in which a T wave is highest

FLAT = "flat line or pause"
TACHYCARDIA = "ventricular tachycardia or flutter"
NOISE = "noise, artifacts or a restless baseline"
T_WAVES = "false peaks where T waves may be"
SMALL = "QRS complexes smaller than elsewhere in the record"
ECTOPIC = "missed ectopic beats"
MISSED = "missed beats of the usual kind"
EXTRA = "false peaks elsewhere"
"""Kinds of excerpts. The first that applies is the kind of an excerpt."""


@dataclass(frozen=True)
class _Excerpt:
    """Excerpt of one lead, with its errors."""

    place: int
    start: int
    missed: np.ndarray
    false: np.ndarray

    @property
    def errors(self) -> int:
        return len(self.missed) + len(self.false)


@dataclass(frozen=True)
class _Shown:
    """Facts about an excerpt from its annotations and its signal.

    Attributes:
        rhythm: name of an unusual rhythm, or empty.
        odd: unusual kinds of beats and their number.
        marked: marked as noisy by the annotators.
        flat: an error lies in a flat part of half a second or more.
        moved: range of the baseline in mV.
        small: height of the QRS complexes over that of the record; ``None`` without a beat.
    """

    rhythm: str
    odd: Counter[str]
    marked: bool
    flat: bool
    moved: float
    small: float | None


def worst_excerpts(
    leads: Sequence[EvaluationLead],
    found: Sequence[RPeaks],
    *,
    database: Database,
    limit: int = MAX_FAILURES,
) -> list[Failure]:
    """Return the excerpts of the noisy test leads with the most errors of each database; they do not overlap.

    They are sorted by database, then by kind, the kind with the most errors first, then by errors.

    Args:
        leads: leads of the test records.
        found: R peaks that our detector found in each noisy lead.
        database: the raw records with their annotations.
        limit: largest number of excerpts of a database.
    """
    names = databases_of([lead.record for lead in leads]) or [""]
    return [failure for name in names for failure in _of_database(name, leads, found, database, limit)]


def _of_database(
    name: str, leads: Sequence[EvaluationLead], found: Sequence[RPeaks], database: Database, limit: int
) -> list[Failure]:
    ranked: list[_Excerpt] = []
    for place, (lead, peaks) in enumerate(zip(leads, found, strict=True)):
        if not name or lead.record.startswith(f"{name}/"):
            ranked += _of_lead(place, lead, peaks.samples)[:_MAX_PER_RECORD]
    ranked.sort(key=lambda item: (-item.errors, item.place, item.start))
    failures = []
    for item in ranked[:limit]:
        lead = leads[item.place]
        annotations = _annotations_of(lead, database)
        failures.append(_failure(lead, found[item.place].samples, item, annotations))
    of_kind = Counter[str]()
    for failure in failures:
        of_kind[failure.kind] += failure.errors
    return sorted(failures, key=lambda failure: (-of_kind[failure.kind], failure.kind, -failure.errors))


def _annotations_of(lead: EvaluationLead, database: Database) -> Annotations:
    """Read the annotations of a record at the sampling rate of a lead, which may be resampled."""
    path = database.path(lead.record)
    annotations, fs = read_annotations(path, annotator=database.annotator_of(lead.record)), read_header(path).fs
    if fs in (None, lead.fs):
        return annotations
    return replace(annotations, samples=np.round(annotations.samples * (lead.fs / fs)).astype(np.int64), fs=lead.fs)


def _of_lead(place: int, lead: EvaluationLead, r_peaks: np.ndarray) -> list[_Excerpt]:
    """Return excerpts of one lead with errors, the worst first, placed so that each holds the most errors."""
    matches = match(lead, r_peaks, tolerance_ms=TOLERANCES_MS[0])
    kinds = (matches.false_negative_samples, matches.false_positive_samples)
    errors = np.sort(np.concatenate(kinds))
    length = min(round(EXCERPT_SECONDS * lead.fs), len(lead.clean))
    excerpts: list[_Excerpt] = []
    while len(errors):
        ends = np.searchsorted(errors, errors + length)
        first = int(np.argmax(ends - np.arange(len(errors))))
        group = errors[first : ends[first]]
        start = int(np.clip((group[0] + group[-1] - length) // 2, 0, len(lead.clean) - length))
        inside = [found[(found >= start) & (found < start + length)] for found in kinds]
        excerpts.append(_Excerpt(place, start, *inside))
        errors = errors[(errors < start - length) | (errors >= start + 2 * length)]
    return sorted(excerpts, key=lambda item: -item.errors)


def _failure(lead: EvaluationLead, r_peaks: np.ndarray, item: _Excerpt, annotations: Annotations) -> Failure:
    part = slice(item.start, item.start + min(round(EXCERPT_SECONDS * lead.fs), len(lead.clean)))
    inside = (annotations.samples >= part.start) & (annotations.samples < part.stop)
    beats = [annotations.symbols[i] for i in np.flatnonzero(inside) if annotations.symbols[i] in BEAT_SYMBOLS]
    shown = _shown(lead, item, part, annotations, beats)
    return Failure(
        record=lead.record,
        lead=lead.lead,
        start=part.start / lead.fs,
        false_negatives=len(item.missed),
        false_positives=len(item.false),
        reasons=_reasons(shown),
        noisy=round_to_microvolts(lead.noisy[part]),
        annotated=samples_within(lead.r_peaks, part),
        symbols="".join(beats),
        detected=samples_within(r_peaks, part),
        kind=_kind(lead, item, shown, annotations),
    )


def _shown(lead: EvaluationLead, item: _Excerpt, part: slice, annotations: Annotations, beats: Sequence[str]) -> _Shown:
    clean = lead.clean[part]
    errors = np.concatenate([item.missed, item.false]) - part.start
    return _Shown(
        rhythm=_rhythm(annotations, part),
        odd=Counter(_BEATS[symbol] for symbol in beats if symbol in _BEATS),
        marked=_marked_noisy(annotations, part),
        flat=bool(_flat_samples(clean, lead.fs)[errors].any()),
        moved=_baseline_range(clean, lead.fs),
        small=_relative_height(lead, lead.r_peaks[(lead.r_peaks >= part.start) & (lead.r_peaks < part.stop)]),
    )


def _reasons(shown: _Shown) -> list[str]:
    """Describe what annotations and signal show in an excerpt with errors; it need not be their cause."""
    reasons = [shown.rhythm] if shown.rhythm else []
    reasons += [f"{count} {name} beat{'s' if count > 1 else ''}" for name, count in shown.odd.most_common()]
    if shown.marked:
        reasons.append("marked as noisy by the annotators")
    if shown.flat:
        reasons.append("an error where the lead is flat for half a second or more: lead off, or a pause")
    if shown.moved >= _RESTLESS:
        reasons.append(f"the baseline moves by {shown.moved:.1f} mV")
    if shown.small is not None and shown.small < _SMALL:
        reasons.append(f"QRS complexes {shown.small:.0%} as high as usual in this record")
    return reasons


def _kind(lead: EvaluationLead, item: _Excerpt, shown: _Shown, annotations: Annotations) -> str:
    """Return the kind of an excerpt: what it shows that explains its errors best, which need not be their cause."""
    if shown.flat:
        return FLAT
    if shown.rhythm in (_RHYTHMS["(VT"], _RHYTHMS["(VFL"]):
        return TACHYCARDIA
    if shown.marked or shown.moved >= _RESTLESS:
        return NOISE
    if len(item.false) >= len(item.missed) and _after_beats(lead, item.false) >= len(item.false) / 2:
        return T_WAVES
    height = _relative_height(lead, item.missed)
    if height is not None and height < _SMALL and len(item.missed) >= len(item.false):
        return SMALL
    if len(item.false) > len(item.missed):
        return EXTRA
    return ECTOPIC if _ectopic(item.missed, annotations, lead.fs) >= len(item.missed) / 2 else MISSED


def _after_beats(lead: EvaluationLead, false: np.ndarray) -> int:
    """Return the number of false peaks where the T wave of an annotated beat may be."""
    if not len(lead.r_peaks):
        return 0
    before = np.searchsorted(lead.r_peaks, false, side="right") - 1
    delay = (false - lead.r_peaks[np.maximum(before, 0)]) / lead.fs
    return int(np.sum((before >= 0) & (delay >= _T_WAVE[0]) & (delay <= _T_WAVE[1])))


def _ectopic(missed: np.ndarray, annotations: Annotations, fs: float) -> int:
    """Return the number of missed beats that are annotated as other than normal or bundle branch block."""
    odd = [symbol in _BEATS for symbol in annotations.symbols]
    places = annotations.samples[np.array(odd, bool)]
    if not len(places):
        return 0
    after = np.searchsorted(places, missed)
    near = [np.abs(places[np.clip(after + shift, 0, len(places) - 1)] - missed) for shift in (-1, 0)]
    # Marks that were moved to the R peak lie up to a tenth of a second from the annotation.
    return int(np.sum(np.minimum(*near) <= 0.1 * fs))


def _rhythm(annotations: Annotations, part: slice) -> str:
    """Return the rhythm in the middle of the excerpt; empty for a usual one."""
    middle = (part.start + part.stop) // 2
    rhythms = [
        text
        for sample, symbol, text in zip(annotations.samples, annotations.symbols, annotations.texts, strict=True)
        if symbol == "+" and text.startswith("(") and sample <= middle
    ]
    return _RHYTHMS.get(rhythms[-1], "") if rhythms else ""


def _marked_noisy(annotations: Annotations, part: slice) -> bool:
    """Return whether the excerpt is marked as other than clean (``~``), or artifacts are marked in it."""
    quality = 0
    for sample, symbol, subtype in zip(annotations.samples, annotations.symbols, annotations.subtypes, strict=True):
        if sample >= part.stop:
            break
        if symbol == "|" and sample >= part.start:
            return True
        if symbol == "~":
            quality = subtype
            if quality and sample >= part.start:
                return True
    return quality != 0


def _flat_samples(signal: np.ndarray, fs: float) -> np.ndarray:
    """Return whether each sample lies in half a second that is flat. A slow drift is not: it moves further."""
    samples, flat = round(_FLAT * fs), np.zeros(len(signal), bool)
    if len(signal) >= samples:
        for start in np.flatnonzero(np.ptp(sliding_window_view(signal, samples), axis=1) <= _STILL).tolist():
            flat[start : start + samples] = True
    return flat


def _baseline_range(signal: np.ndarray, fs: float) -> float:
    """Return the range of the baseline in mV: the signal's median over 0.6 s, which QRS complexes do not affect.

    Beyond the ends, the signal is mirrored: a QRS complex there, repeated, would be a baseline.
    """
    from scipy.ndimage import median_filter

    return float(np.ptp(median_filter(signal, round(_MEDIAN * fs), mode="reflect")))


def _relative_height(lead: EvaluationLead, r_peaks: np.ndarray) -> float | None:
    """Return the median QRS height of some beats over that of the record; ``None`` without a beat."""
    reach = round(0.05 * lead.fs)
    inside = (lead.r_peaks >= reach) & (lead.r_peaks < len(lead.clean) - reach)
    peaks = lead.r_peaks[inside]
    if not len(peaks):
        return None
    windows = np.lib.stride_tricks.sliding_window_view(lead.clean, 2 * reach + 1)[peaks - reach]
    heights = np.ptp(windows, axis=1)
    here = heights[np.isin(peaks, r_peaks)]
    return float(np.median(here) / np.median(heights)) if len(here) and np.median(heights) > 0 else None
