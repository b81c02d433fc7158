"""Pauses inserted into recordings, to count what a detector takes for beats there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ecg_study.ecg_data.noise import gaussian_noise
from ecg_study.ecg_data.segments.augmentation.pauses import extend_rest
from ecg_study.ecg_data.segments.cutting import mark_r_peaks
from ecg_study.evaluation.leads import EvaluationLead

_EVERY = 15.0  # seconds from one pause to the next, about
_SECONDS = (1.5, 5.0)  # length of a pause
_P_WAVE_SHARE = 0.5  # share of the pauses in which P waves continue


def insert_pauses(lead: EvaluationLead, *, sigma_mv: float, seed: int) -> tuple[EvaluationLead, list[tuple[int, int]]]:
    """Insert a pause about every 15 seconds.

    No pause is inserted in excluded intervals, nor where no two beats have a rest between them.

    Args:
        lead: one lead.
        sigma_mv: standard deviation of the Gaussian noise of the noisy lead in mV.
        seed: seed of pauses and noise.

    Returns:
        The longer lead, and for each pause its first sample and the sample after its last.
    """
    rng = np.random.default_rng([seed, *lead.name.encode()])
    marks = mark_r_peaks(lead.r_peaks, len(lead.clean))
    step = round(_EVERY * lead.fs)
    parts, moved, pauses, excluded, done = [], [], list[tuple[int, int]](), list[tuple[int, int]](), 0
    for start in range(0, len(lead.clean), step):
        part, marked = lead.clean[start : start + step], marks[start : start + step]
        untouched = [(a, b) for a, b in lead.excluded_intervals if a < start + step and b > start]
        excluded += [(max(a - start, 0) + done, min(b - start, len(part)) + done) for a, b in untouched]
        if not untouched:
            seconds, blocked = rng.uniform(*_SECONDS), rng.random() < _P_WAVE_SHARE
            part, marked, pause = extend_rest(part, marked, fs=lead.fs, seconds=seconds, p_waves=blocked, rng=rng)
            pauses += [(pause[0] + done, pause[1] + done)] if pause else []
        parts.append(part)
        moved.append(marked)
        done += len(part)
    clean = np.concatenate(parts)
    noisy = clean + gaussian_noise(len(clean), sigma_mv=sigma_mv, seed=seed, record=lead.record, lead=lead.lead)
    r_peaks = np.flatnonzero(np.concatenate(moved))
    longer = replace(lead, clean=clean, noisy=noisy, r_peaks=r_peaks, excluded_intervals=tuple(excluded))
    return replace(longer, aligned_r_peaks=None), pauses


def count_false_peaks(r_peaks: np.ndarray, pauses: list[tuple[int, int]]) -> int:
    """Count the detections in pauses; all are false.

    A pause starts after the T wave of the last beat, and ends before the P wave of the next.

    Args:
        r_peaks: sample indices, shape ``(peaks,)``.
        pauses: pauses from `insert_pauses`.
    """
    return sum(int(np.sum((r_peaks >= start) & (r_peaks < end))) for start, end in pauses)
