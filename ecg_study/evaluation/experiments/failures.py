"""Where the detector fails: its worst stretches, and what can be told of why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.annotations import BEAT_SYMBOLS, Annotations, read_annotations
from ecg_study.evaluation.baselines.runner import Found
from ecg_study.evaluation.experiments.denoising import round_to_microvolts
from ecg_study.evaluation.experiments.r_peaks import match, within
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.evaluation.results.detection import Failure
from ecg_study.evaluation.results.values import TOLERANCES_MS

STRETCH = 6.0
"""Seconds of a stretch."""

MOST = 20

_MOST_OF_RECORD = 5
"""At most so many of one record, so that one bad record does not hide what goes wrong in others."""

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
"""What is not a normal or bundle branch block beat."""

_FLAT = 0.5  # seconds over which a signal does not move where a lead is off
_STILL = 0.01  # mV
_MEDIAN = 0.6  # seconds: the longer of the two filters of de Chazal et al. (2004) against drift
_RESTLESS = 1.0  # mV: a baseline that moves by as much as a QRS complex is high
_SMALL = 0.4  # of the record's median: a QRS complex so much smaller is named


@dataclass(frozen=True)
class _Stretch:
    place: int
    start: int
    missed: int
    false: int


def worst_stretches(
    leads: Sequence[EvaluationLead], found: Sequence[Found], directory: Path, annotator: str, most: int = MOST
) -> list[Failure]:
    """The stretches of the noisy test leads with the most errors, the worst first.

    Each error opens a stretch around it; stretches do not overlap.

    Args:
        leads: of the test records.
        found: what our detector found in each, noisy.
        directory: the folder of the records, for their annotations.
        annotator: ending of the annotation files.
        most: how many.
    """
    ranked: list[_Stretch] = []
    for place, (lead, peaks) in enumerate(zip(leads, found, strict=True)):
        ranked += _of_lead(place, lead, peaks.r_peaks)[:_MOST_OF_RECORD]
    ranked.sort(key=lambda item: (-item.missed - item.false, item.place, item.start))
    failures = []
    for item in ranked[:most]:
        annotations = read_annotations(directory / leads[item.place].record, annotator=annotator)
        failures.append(_failure(leads[item.place], found[item.place].r_peaks, item, annotations))
    return failures


def _of_lead(place: int, lead: EvaluationLead, r_peaks: np.ndarray) -> list[_Stretch]:
    """Stretches of one lead that hold an error, the worst first, cut so that the most errors fall into each."""
    matches = match(lead, r_peaks, TOLERANCES_MS[0])
    missed, false = matches.missed, matches.invented
    errors = np.sort(np.concatenate([missed, false]))
    length = min(round(STRETCH * lead.fs), len(lead.clean))
    stretches: list[_Stretch] = []
    while len(errors):
        ends = np.searchsorted(errors, errors + length)
        first = int(np.argmax(ends - np.arange(len(errors))))
        group = errors[first : ends[first]]
        start = int(np.clip((group[0] + group[-1] - length) // 2, 0, len(lead.clean) - length))
        inside = [int(np.sum((kind >= start) & (kind < start + length))) for kind in (missed, false)]
        stretches.append(_Stretch(place, start, *inside))
        errors = errors[(errors < start - length) | (errors >= start + 2 * length)]
    return sorted(stretches, key=lambda item: -item.missed - item.false)


def _failure(lead: EvaluationLead, r_peaks: np.ndarray, item: _Stretch, annotations: Annotations) -> Failure:
    part = slice(item.start, item.start + min(round(STRETCH * lead.fs), len(lead.clean)))
    inside = (annotations.samples >= part.start) & (annotations.samples < part.stop)
    beats = [annotations.symbols[i] for i in np.flatnonzero(inside) if annotations.symbols[i] in BEAT_SYMBOLS]
    return Failure(
        record=lead.record,
        lead=lead.lead,
        start=part.start / lead.fs,
        false_negatives=item.missed,
        false_positives=item.false,
        reasons=_reasons(lead, part, annotations, beats),
        noisy=round_to_microvolts(lead.noisy[part]),
        annotated=within(lead.r_peaks, part),
        symbols="".join(beats),
        detected=within(r_peaks, part),
    )


def _reasons(lead: EvaluationLead, part: slice, annotations: Annotations, beats: Sequence[str]) -> list[str]:
    """What the annotations and the signal say of a stretch. It stands beside the errors; it need not be their cause."""
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
    """The rhythm that lasts at the middle of the stretch, where it is none of the usual."""
    middle = (part.start + part.stop) // 2
    said = [
        text
        for sample, symbol, text in zip(annotations.samples, annotations.symbols, annotations.texts, strict=True)
        if symbol == "+" and text.startswith("(") and sample <= middle
    ]
    return _RHYTHMS.get(said[-1], "") if said else ""


def _marked_noisy(annotations: Annotations, part: slice) -> bool:
    """Whether a signal quality mark (``~``) other than "clean" is in force in the stretch, or artifacts are marked."""
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
    """The most samples in a row that do not move."""
    moving = np.flatnonzero(np.abs(np.diff(signal)) > _STILL)
    borders = np.concatenate([[-1], moving, [len(signal) - 1]])
    return int(np.diff(borders).max())


def _baseline_range(signal: np.ndarray, fs: float) -> float:
    """How far the baseline moves, in mV: the range of the signal's median over 0.6 s, which a QRS does not sway."""
    from scipy.ndimage import median_filter

    return float(np.ptp(median_filter(signal, round(_MEDIAN * fs), mode="nearest")))


def _relative_height(lead: EvaluationLead, part: slice) -> float | None:
    """Median height of the QRS complexes in the stretch over that of the record; ``None`` without a beat."""
    reach = round(0.05 * lead.fs)
    peaks = lead.r_peaks[(lead.r_peaks >= reach) & (lead.r_peaks < len(lead.clean) - reach)]
    if not len(peaks):
        return None
    windows = np.lib.stride_tricks.sliding_window_view(lead.clean, 2 * reach + 1)[peaks - reach]
    heights = np.ptp(windows, axis=1)
    here = heights[(peaks >= part.start) & (peaks < part.stop)]
    return float(np.median(here) / np.median(heights)) if len(here) and np.median(heights) > 0 else None
