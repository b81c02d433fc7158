"""Recordings with pauses that were made in them, to count what a detector takes for beats there."""

from __future__ import annotations

import numpy as np

from ecg_study.ecg_data.noise import gaussian_noise
from ecg_study.ecg_data.segments.cutting import mark_r_peaks
from ecg_study.ecg_data.segments.pauses import extend_rest
from ecg_study.evaluation.leads import EvaluationLead

_EVERY = 15.0  # seconds from one pause to the next, about
_SECONDS = (1.5, 5.0)  # of a pause
_BLOCKED = 0.5  # share of the pauses in which P waves go on


def with_pauses(lead: EvaluationLead, sigma: float, seed: int) -> tuple[EvaluationLead, list[tuple[int, int]]]:
    """A recording with a pause about every 15 seconds.

    Args:
        lead: one lead in mV, shape ``(samples,)``.
        sigma: standard deviation of the Gaussian noise of ``noisy`` in mV.
        seed: of pauses and noise.

    Returns:
        The longer lead, and the first sample of each pause in it with the one after its last. There is none in
        stretches that are not scored, nor where no two beats have a rest between them.
    """
    rng = np.random.default_rng([seed, *lead.name.encode()])
    marks = mark_r_peaks(lead.r_peaks, len(lead.clean))
    step, made, moved, pauses, excluded_intervals, done = round(_EVERY * lead.fs), [], [], [], [], 0
    for start in range(0, len(lead.clean), step):
        part, marked = lead.clean[start : start + step], marks[start : start + step]
        untouched = [(a, b) for a, b in lead.excluded_intervals if a < start + step and b > start]
        excluded_intervals += [(max(a - start, 0) + done, min(b - start, len(part)) + done) for a, b in untouched]
        if not untouched:
            seconds, blocked = rng.uniform(*_SECONDS), rng.random() < _BLOCKED
            part, marked, pause = extend_rest(part, marked, fs=lead.fs, seconds=seconds, p_waves=blocked, rng=rng)
            pauses += [(pause[0] + done, pause[1] + done)] if pause else []
        made.append(part)
        moved.append(marked)
        done += len(part)
    clean = np.concatenate(made)
    noisy = clean + gaussian_noise(len(clean), sigma_mv=sigma, seed=seed, record=lead.record, lead=lead.lead)
    r_peaks = np.flatnonzero(np.concatenate(moved))
    return EvaluationLead(lead.record, lead.lead, lead.fs, clean, noisy, r_peaks, tuple(excluded_intervals)), pauses


def false_peaks(r_peaks: np.ndarray, pauses: list[tuple[int, int]]) -> int:
    """How many peaks, sample indices of shape ``(peaks,)``, lie in pauses.

    None of these is a beat: a pause begins behind the T wave of the last, and ends before the P wave of the next.
    """
    return sum(int(np.sum((r_peaks >= begin) & (r_peaks < end))) for begin, end in pauses)
