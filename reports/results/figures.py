"""The figures that the sections are made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval from a bootstrap over records."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Denoising:
    """How close a denoised lead is to the clean one.

    Attributes:
        mae: mean absolute error in mV.
        rmse: root mean square error in mV.
        snr_improvement: decibels by which the signal-to-noise ratio rose over the noisy input; ``None`` where
            the input has no noise.
        prd: percentage root-mean-square difference, against the clean signal around its mean; ``None`` where that
            is flat.
        cosine: cosine of the angle between output and clean signal, 1 for the same shape; ``None`` where one is 0.
        ssd: sum of squared differences in mV², for each second of signal.
        mad: largest absolute difference in mV.
    """

    mae: float
    rmse: float
    snr_improvement: float | None
    prd: float | None
    cosine: float | None
    ssd: float
    mad: float


@dataclass(frozen=True)
class Counts:
    """True and false positives and false negatives, with the ratios that follow from them.

    Attributes:
        true_positives: found and there.
        false_negatives: there and not found.
        false_positives: found and not there.
        sensitivity: share of what is there that was found (recall); 0 where nothing is there.
        precision: share of what was found that is there (positive predictive value); 0 where nothing was found.
        f1: harmonic mean of both.
    """

    true_positives: int
    false_negatives: int
    false_positives: int
    sensitivity: float
    precision: float
    f1: float


@dataclass(frozen=True)
class Confusion:
    """Windows by what they hold and what they were labelled, with the ratios that follow.

    Attributes:
        accuracy: share labelled right.
        specificity: share of the windows without an R peak that were recognised; ``None`` where there are none.
    """

    counts: Counts
    true_negatives: int
    accuracy: float
    specificity: float | None
