"""Score of a denoiser in training: noise that it leaves on validation segments, from little noise to much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ecg_study.ecg_data.noise import MIX
from ecg_study.ecg_data.removals import gains_by_threshold, mean_gain
from ecg_study.training.scores.scored import Scored
from ecg_study.training.scores.validation_segments import choose_segments

if TYPE_CHECKING:
    from ecg_study.training.steps.network import Network
    from ecg_study.training.task import TrainingTask

NOISE_LEFT = "noise_left"
"""Name of the score."""

LEVELS_DB = (30.0, 24.0, 18.0, 12.0, 6.0, 0.0)
"""SNR of the segments without baseline wander. The high-pass of the reference removes 6 dB of the mixture of noises, so
these are 24 to -6 dB before it, as in "denoising without harm"."""

_SEED = 21


class NoiseScore:
    """Power of the error over that of the noise before the network, in percent; lower is better, 100 does nothing.

    It is the geometric mean over six levels of the mixture of noises, in which a network that makes a level worse loses
    twice as much as it would win. Each recording counts the same, and each of several databases. The threshold for
    small removals is chosen on one half of the subjects and applied to the other, and the other way round.

    Args:
        task: the denoiser and its data, with noise for validation.
    """

    def __init__(self, task: TrainingTask) -> None:
        assert task.cache.wander_removed is not None and task.validation_noise is not None
        chosen = choose_segments(task)
        self._clean = np.asarray(task.cache.wander_removed[chosen.rows], np.float32)
        self._chosen = chosen
        noise = task.validation_noise.without_wander(task.cache.fs)
        rng = np.random.default_rng(_SEED)
        drawn = noise.draw(MIX, count=len(self._clean), samples=self._clean.shape[1], rng=rng)
        self._noise = drawn * np.sqrt(np.mean(np.square(self._clean), axis=1, keepdims=True))

    def __call__(self, network: Network) -> Scored:
        """Return the score of the present weights."""
        records = self._chosen.records
        gains = []
        for level in LEVELS_DB:
            noisy = np.asarray(self._clean + 10 ** (-level / 20) * self._noise, np.float32)
            denoised = network.predict(noisy[..., np.newaxis])[..., 0]
            if not np.isfinite(denoised).all():
                return Scored({NOISE_LEFT: math.nan})
            own = [records == number for number in range(records.max() + 1)]
            gains.append([gains_by_threshold(self._clean[rows], noisy[rows], denoised=denoised[rows]) for rows in own])
        by_record = np.swapaxes(gains, 0, 1)  # (records, levels, thresholds)
        halves = [mean_gain(by_record, self._chosen.groups(first=first)) for first in (True, False)]
        chosen = [half.argmax() for half in reversed(halves)]  # the threshold for a half comes from the other
        crossed = [halves[half][chosen[half]] for half in range(2)]
        return Scored({NOISE_LEFT: _percent(np.mean(crossed))}, self._by_subject(by_record, chosen))

    def _by_subject(self, by_record: np.ndarray, chosen: Sequence[np.intp]) -> dict[str, float]:
        """Return the score of each subject at the threshold of its half."""
        segments = self._chosen
        if len(segments.names) == 1:
            return {}
        found = {}
        for number, name in enumerate(segments.names):
            own = segments.subjects == number
            half = 0 if segments.first_half[own][0] else 1
            found[name] = _percent(mean_gain(by_record, [np.unique(segments.records[own])])[chosen[half]])
        return found


def _percent(gain: float | np.floating) -> float:
    """Return the power that is left after a gain in dB, in percent."""
    return float(100 * 10 ** (-gain / 10))
