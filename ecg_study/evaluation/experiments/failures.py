"""Excerpts with the most errors of the detector, and what the annotations and the signal show there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.readers.wfdb import read_header
from ecg_study.ecg_data.readers.wfdb.annotations import BEAT_SYMBOLS, Annotations, read_annotations
from ecg_study.evaluation.experiments.denoising import round_to_microvolts
from ecg_study.evaluation.experiments.r_peaks import samples_within
from ecg_study.evaluation.leads import EvaluationLead, match
from ecg_study.evaluation.results.detection import Failure
from ecg_study.evaluation.results.values import TOLERANCES_MS
from ecg_study.inference.detector import RPeaks

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

_FLAT = 0.5  # seconds without a change if a lead is off
_STILL = 0.01  # mV
_MEDIAN = 0.6  # seconds: the longer of the two median filters of de Chazal et al. (2004) against baseline wander
_RESTLESS = 1.0  # mV: the baseline moves by as much as a QRS complex is high
_SMALL = 0.4  # share of the record's median below which QRS complexes are reported as small


@dataclass(frozen=True)
class _Excerpt:
    """Excerpt of one lead, with its errors."""

    place: int
    start: int
    false_negatives: int
    false_positives: int

    @property
    def errors(self) -> int:
        return self.false_negatives + self.false_positives


def worst_excerpts(
    leads: Sequence[EvaluationLead],
    found: Sequence[RPeaks],
    *,
    database: Database,
    limit: int = MAX_FAILURES,
) -> list[Failure]:
    """Return the excerpts of the noisy test leads with the most errors, the worst first; they do not overlap.

    Args:
        leads: leads of the test records.
        found: R peaks that our detector found in each noisy lead.
        database: the raw records with their annotations.
        limit: largest number of excerpts.
    """
    ranked: list[_Excerpt] = []
    for place, (lead, peaks) in enumerate(zip(leads, found, strict=True)):
        ranked += _of_lead(place, lead, peaks.samples)[:_MAX_PER_RECORD]
    ranked.sort(key=lambda item: (-item.errors, item.place, item.start))
    failures = []
    for item in ranked[:limit]:
        lead = leads[item.place]
        annotations = _annotations_of(lead, database)
        failures.append(_failure(lead, found[item.place].samples, item, annotations))
    return failures


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
        inside = [int(np.sum((found >= start) & (found < start + length))) for found in kinds]
        excerpts.append(_Excerpt(place, start, *inside))
        errors = errors[(errors < start - length) | (errors >= start + 2 * length)]
    return sorted(excerpts, key=lambda item: -item.errors)


def _failure(lead: EvaluationLead, r_peaks: np.ndarray, item: _Excerpt, annotations: Annotations) -> Failure:
    part = slice(item.start, item.start + min(round(EXCERPT_SECONDS * lead.fs), len(lead.clean)))
    inside = (annotations.samples >= part.start) & (annotations.samples < part.stop)
    beats = [annotations.symbols[i] for i in np.flatnonzero(inside) if annotations.symbols[i] in BEAT_SYMBOLS]
    return Failure(
        record=lead.record,
        lead=lead.lead,
        start=part.start / lead.fs,
        false_negatives=item.false_negatives,
        false_positives=item.false_positives,
        reasons=_reasons(lead, part, annotations, beats),
        noisy=round_to_microvolts(lead.noisy[part]),
        annotated=samples_within(lead.r_peaks, part),
        symbols="".join(beats),
        detected=samples_within(r_peaks, part),
    )


def _reasons(lead: EvaluationLead, part: slice, annotations: Annotations, beats: Sequence[str]) -> list[str]:
    """Describe what annotations and signal show in an excerpt with errors; it need not be their cause."""
    reasons = []
    rhythm = _rhythm(annotations, part)
    if rhythm:
        reasons.append(rhythm)
    odd = Counter(_BEATS[symbol] for symbol in beats if symbol in _BEATS)
    reasons += [f"{count} {name} beat{'s' if count > 1 else ''}" for name, count in odd.most_common()]
    if _marked_noisy(annotations, part):
        reasons.append("marked as noisy by the annotators")
    clean = lead.clean[part]
    if _longest_still(clean) >= _FLAT * lead.fs:
        reasons.append("flat for half a second or more: lead off, or a pause")
    moved = _baseline_range(clean, lead.fs)
    if moved >= _RESTLESS:
        reasons.append(f"the baseline moves by {moved:.1f} mV")
    small = _relative_height(lead, part)
    if small is not None and small < _SMALL:
        reasons.append(f"QRS complexes {small:.0%} as high as usual in this record")
    return reasons


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


def _longest_still(signal: np.ndarray) -> int:
    """Return the largest number of consecutive samples without a change."""
    moving = np.flatnonzero(np.abs(np.diff(signal)) > _STILL)
    borders = np.concatenate([[-1], moving, [len(signal) - 1]])
    return int(np.diff(borders).max())


def _baseline_range(signal: np.ndarray, fs: float) -> float:
    """Return the range of the baseline in mV: the signal's median over 0.6 s, which QRS complexes do not affect."""
    from scipy.ndimage import median_filter

    return float(np.ptp(median_filter(signal, round(_MEDIAN * fs), mode="nearest")))


def _relative_height(lead: EvaluationLead, part: slice) -> float | None:
    """Return the median QRS height in the excerpt over that of the record; ``None`` without a beat."""
    reach = round(0.05 * lead.fs)
    peaks = lead.r_peaks[(lead.r_peaks >= reach) & (lead.r_peaks < len(lead.clean) - reach)]
    if not len(peaks):
        return None
    windows = np.lib.stride_tricks.sliding_window_view(lead.clean, 2 * reach + 1)[peaks - reach]
    heights = np.ptp(windows, axis=1)
    here = heights[(peaks >= part.start) & (peaks < part.stop)]
    return float(np.median(here) / np.median(heights)) if len(here) and np.median(heights) > 0 else None
