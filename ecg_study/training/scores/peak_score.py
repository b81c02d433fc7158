"""Score of a detector in training: R peaks found on validation segments, without and with noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ecg_study.ecg_data.alignment import tolerance_samples
from ecg_study.ecg_data.noise import unit_gaussian_noise, unit_power
from ecg_study.models.card import REFRACTORY_PERIOD
from ecg_study.training.scores.scored import Scored
from ecg_study.training.scores.validation_segments import choose_segments

if TYPE_CHECKING:
    from ecg_study.training.steps.network import Network
    from ecg_study.training.task import TrainingTask

R_PEAK_ERROR = "r_peak_error"
"""Name of the score."""

LEVELS_DB = (6.0, 0.0, -6.0)
"""SNR against the power of the whole segment. That of the noise stress test, which is defined by the amplitude of the
QRS complex, is about 7 dB higher."""

TOLERANCES_MS = (150, 50)

_THRESHOLDS = np.linspace(0.05, 0.95, 91)

_LEAST_ERROR = 1e-4
"""Is added to 1 - F1, so that one more beat of thousands does not decide between two models."""

_EDGE_SECONDS = 0.5
"""Peaks and marks nearer to the ends of a segment do not count: there, segments overlap in use."""

_SEED = 20


class PeakScore:
    """Geometric mean, over conditions and tolerances, of 1 - F1 of R peaks, in percent; lower is better.

    A percentage of F1 near 100 counts as much as one that is far from it if both halve the errors. The conditions are
    segments as recorded and with noise of three levels: electrode motion for validation, or white noise if a study has
    no recorded noise. The threshold is one for all conditions. It is chosen on one half of the subjects and judged on
    the other, and the other way round.

    Args:
        task: the detector and its data.
    """

    def __init__(self, task: TrainingTask) -> None:
        chosen = choose_segments(task)
        rows = chosen.rows
        # A unit is what one half has of one subject: all of it, unless there is only one.
        pairs, self._units = np.unique(2 * chosen.subjects + ~chosen.first_half, return_inverse=True)
        self._unit_halves = pairs % 2
        self._unit_names = [] if len(chosen.names) == 1 else [chosen.names[pair // 2] for pair in pairs]
        clean = np.asarray(task.cache.clean[rows], np.float32)
        self._marks = np.asarray(task.cache.r_peaks[rows], bool)
        self._fs = task.cache.fs
        base = clean if task.cache.wander_removed is None else np.asarray(task.cache.wander_removed[rows])
        power = base.var(axis=1, keepdims=True)
        rng = np.random.default_rng(_SEED)
        self._inputs = [clean]
        for level in LEVELS_DB:
            noise = _noise(task, clean.shape, rng) * np.sqrt(power * 10 ** (-level / 10))
            self._inputs.append(np.asarray(clean + noise, np.float32))

    def __call__(self, network: Network) -> Scored:
        """Return the score of the present weights."""
        counts = []
        for segments in self._inputs:
            probability = network.predict(segments[..., np.newaxis])[..., 0]
            if not np.isfinite(probability).all():
                return Scored({R_PEAK_ERROR: math.nan})
            counts += [self._counts(probability, tolerance) for tolerance in TOLERANCES_MS]
        by_unit = np.array(counts)  # (conditions and tolerances, units, 3, thresholds)
        halves = [_log_error(by_unit[:, self._unit_halves == half].sum(axis=1)) for half in range(2)]
        chosen = [half.argmin() for half in reversed(halves)]  # the threshold for a half comes from the other
        crossed = [halves[half][chosen[half]] for half in range(2)]
        by_subject = {
            name: _percent(_log_error(by_unit[:, unit])[chosen[self._unit_halves[unit]]])
            for unit, name in enumerate(self._unit_names)
        }
        return Scored({R_PEAK_ERROR: _percent(np.mean(crossed))}, by_subject)

    def _counts(self, probability: np.ndarray, tolerance_ms: float) -> np.ndarray:
        """Return the `counts_by_threshold` of each unit."""
        units = [self._units == unit for unit in range(len(self._unit_halves))]
        return np.array(
            [
                counts_by_threshold(
                    probability[own], self._marks[own], fs=self._fs, tolerance_ms=tolerance_ms, thresholds=_THRESHOLDS
                )
                for own in units
            ]
        )


def _log_error(counts: np.ndarray) -> np.ndarray:
    """Return the mean of ln(1 - F1) for each threshold.

    Args:
        counts: see `counts_by_threshold`; shape ``(conditions and tolerances, 3, thresholds)``.
    """
    return np.asarray(np.log(1 - f1_of_counts(np.swapaxes(counts, 0, 1)) + _LEAST_ERROR).mean(axis=0))


def _percent(log_error: float | np.floating) -> float:
    return 100 * math.exp(float(log_error))


def f1_of_counts(counts: np.ndarray) -> np.ndarray:
    """Return F1 from counts of R peaks found, false peaks and marks; 1 where there is neither a peak nor a mark."""
    found, false, marks = counts
    total = found + false + marks
    return np.asarray(np.divide(2 * found, total, out=np.ones(np.shape(total)), where=total > 0))


def counts_by_threshold(
    probability: np.ndarray,
    marks: np.ndarray,
    *,
    fs: float,
    tolerance_ms: float,
    thresholds: Sequence[float] | np.ndarray,
) -> np.ndarray:
    """Count R peaks at each threshold, over all segments.

    A peak is the highest sample within the refractory period on either side. A mark is matched with the highest peak
    within the tolerance, and a peak with one mark at most. So a lower threshold never changes a match, and all
    thresholds are computed at once. Half a second at both ends of a segment does not count.

    Args:
        probability: of an R peak at each sample, shape ``(segments, samples)``.
        marks: true at each R peak, of the same shape.
        fs: sampling rate in Hz.
        tolerance_ms: largest distance of a peak from its mark in ms.
        thresholds: lowest probability of a peak.

    Returns:
        Marks that are found, false peaks, and all marks, shape ``(3, thresholds)``.
    """
    from scipy.ndimage import maximum_filter1d

    samples = probability.shape[1]
    refractory, tolerance = round(REFRACTORY_PERIOD * fs), tolerance_samples(tolerance_ms, fs=fs)
    around = maximum_filter1d(probability, 2 * refractory + 1, axis=1, mode="constant")
    rows, columns = np.nonzero((probability == around) & (probability >= min(thresholds)))
    heights = probability[rows, columns]
    width = samples + tolerance + 1  # so that no peak is within the tolerance of a mark of another segment
    peaks = rows * width + columns
    mark_rows, mark_columns = np.nonzero(marks)
    at = mark_rows * width + mark_columns
    best = _highest_between(heights, np.searchsorted(peaks, at - tolerance), np.searchsorted(peaks, at + tolerance + 1))
    edge = round(_EDGE_SECONDS * fs)
    counted = (mark_columns >= edge) & (mark_columns < samples - edge)
    of_counted, of_others = np.unique(best[counted & (best >= 0)]), best[~counted & (best >= 0)]
    false = np.ones(len(peaks), bool)
    false[of_counted] = False
    false[of_others] = False
    false &= (columns >= edge) & (columns < samples - edge)
    found = _at_least(heights[of_counted], thresholds)
    wrong = _at_least(heights[false], thresholds)
    return np.array([found, wrong, np.full(len(found), np.count_nonzero(counted))])


def _highest_between(heights: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the index of the highest value in each interval, -1 for an empty one; few values lie in each."""
    best = np.where(first < end, first, -1)
    for offset in range(1, int(np.max(end - first, initial=0))):
        place = first + offset
        inside = place < end
        higher = inside & (heights[np.where(inside, place, 0)] > heights[np.maximum(best, 0)])
        best = np.where(higher, place, best)
    return best


def _at_least(heights: np.ndarray, thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the number of heights that reach each threshold."""
    return len(heights) - np.searchsorted(np.sort(heights), np.asarray(thresholds, heights.dtype))


def _noise(task: TrainingTask, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw noise of power 1 for validation segments, float32."""
    if task.validation_noise is None:
        return unit_gaussian_noise(shape, rng)
    return unit_power(task.validation_noise.draw("em", count=shape[0], samples=shape[1], rng=rng))
