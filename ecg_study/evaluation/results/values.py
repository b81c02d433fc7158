"""The names that the values of a report, its tables and its plots share."""

from __future__ import annotations

from dataclasses import dataclass

NOISY, DENOISED, CLEAN = "noisy", "denoised", "clean"

INPUTS = (NOISY, DENOISED, CLEAN)
"""What a detector is given: the test signal with noise, the same cleaned by the denoiser, and without noise."""

LSTM, GRU, NO_FILTER = "LSTM denoiser", "GRU detector", "noisy input"

TOLERANCES_MS = (150, 75, 50)
"""Within which a detection counts as right. ANSI/AAMI EC57 asks for 150; the narrower ones show whether a detector
sits on the R peak or beside it."""


def peak_f1_metric(tolerance_ms: int) -> str:
    """Return the name of F1 of R peaks within a tolerance in ms, as `Comparison.metric` holds it."""
    return f"R peaks: F1 at {tolerance_ms} ms"


@dataclass(frozen=True)
class Estimate:
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


@dataclass(frozen=True)
class Comparison:
    """A model against a reference on the same records, from `metrics.paired_difference`.

    Attributes:
        metric: name of the metric, with its unit or condition.
        model: name of the model.
        model_value: metric of the model.
        reference: name of the reference: a classical method, another study, or the model before fine-tuning.
        reference_value: metric of the reference.
        difference: improvement over the reference, positive if the model is better, from a bootstrap paired by record.
        significant: the 95 % interval of the difference excludes 0; ``None`` with fewer than six records.
    """

    metric: str
    model: str
    model_value: Estimate
    reference: str
    reference_value: Estimate
    difference: Estimate
    significant: bool | None


@dataclass(frozen=True)
class SeedMetrics:
    """Headline figures of the same configuration, trained from several seeds.

    Attributes:
        metric: its name.
        values: one a seed; the first is that of the model handed over.
        mean: of these.
        deviation: standard deviation (n - 1); ``None`` for one seed.
    """

    metric: str
    values: list[float]
    mean: float
    deviation: float | None
