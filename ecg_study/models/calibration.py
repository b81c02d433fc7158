"""Calibration: from the peak probability of a detector to the share of R peaks that are correct."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

_CLIPPED = 1e-6
"""Peak probabilities nearer to 0 or 1 are set to it, as their logarithms are those of rounding."""

_Slope = Annotated[float, Ge(0), Le(1e3)]


@dataclass(frozen=True)
class Calibration:
    """Confidence of an R peak, as a function of its peak probability that never falls (beta calibration).

    The log odds of a correct R peak at peak probability p are ``a * log(p) - b * log(1 - p) + c``. Correct is an R peak
    within 150 ms of an annotated beat.

    Attributes:
        a: Weight of the logarithm of the peak probability.
        b: Weight of the logarithm of its distance from 1.
        c: Log odds that are added.
        error: Mean distance of the confidence from the share of correct R peaks in tenths of the range, each weighted
            with its R peaks; the mean over the levels of noise.
            For each subject, it was measured with a calibration from the others; ``None`` for one subject.
        r_peaks: Number of R peaks of the validation records, of all levels of noise together.

    References:
        Kull M, Silva Filho T, Flach P. Beta calibration: a well-founded and easily implemented improvement on logistic
        calibration for binary classifiers. AISTATS, PMLR 54:623-631, 2017.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # of cards from strangers

    a: _Slope
    b: _Slope
    c: Annotated[float, Ge(-1e3), Le(1e3)]
    error: Annotated[float, Ge(0), Le(1)] | None
    r_peaks: Annotated[int, Ge(1), Le(2**53)]

    def confidences(self, peak_probabilities: np.ndarray) -> np.ndarray:
        """Return the confidence of R peaks, float32 from 0 to 1, of the same shape."""
        low, high = log_features(peak_probabilities)
        with np.errstate(over="ignore"):  # exp of a large number is infinity, and the confidence 0
            return np.asarray(1 / (1 + np.exp(-(self.a * low + self.b * high + self.c))), np.float32)


def log_features(peak_probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``log(p)`` and ``-log(1 - p)``, float64."""
    clipped = np.clip(np.asarray(peak_probabilities, np.float64), _CLIPPED, 1 - _CLIPPED)
    return np.log(clipped), -np.log1p(-clipped)
