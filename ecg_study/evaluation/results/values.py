"""Values and names that results, tables and plots share."""

from __future__ import annotations

from dataclasses import dataclass

NOISY, DENOISED, CLEAN = "noisy", "denoised", "clean"

INPUTS = (NOISY, DENOISED, CLEAN)
"""Inputs of a detector: the test signal with noise, the same denoised, and the same without noise."""

LSTM, GRU, NO_FILTER = "LSTM denoiser", "GRU detector", "noisy input"

TOLERANCES_MS = (150, 75, 50)
"""Largest distances in ms of a detection from its annotation. ANSI/AAMI EC57 requires 150; the narrower ones show
whether a detector finds the R peak itself."""


def peak_f1_metric(tolerance_ms: int) -> str:
    """Return the name of F1 of R peaks within a tolerance in ms, as `Comparison.metric` holds it."""
    return f"R peaks: F1 at {tolerance_ms} ms"


@dataclass(frozen=True)
class Estimate:
    """A value with a 95 % interval, from a bootstrap over subjects unless the field says otherwise."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Denoising:
    """Errors of a denoised lead against the clean one.

    Attributes:
        mae: mean absolute error in mV.
        rmse: root mean square error in mV.
        snr_improvement: improvement of the signal-to-noise ratio over the noisy input in dB; ``None`` if the input
            has no noise.
        prd: percentage root-mean-square difference, against the clean signal around its mean; ``None`` if that is
            flat.
        cosine: cosine of the angle between output and clean signal, 1 for the same shape; ``None`` if one is 0.
        ssd: sum of squared differences in mV² per second of signal.
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
        true_positives: annotated and detected.
        false_negatives: annotated and not detected.
        false_positives: detected and not annotated.
        sensitivity: share of the annotated that was detected (recall); 0 if nothing is annotated.
        precision: share of the detected that is annotated (positive predictive value); 0 if nothing was detected.
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
    """Windows by annotation and label, with the ratios that follow.

    Attributes:
        counts: windows with an R peak that were labeled so, and errors.
        true_negatives: windows without an R peak that were labeled so.
        accuracy: share of correct labels.
        specificity: share of the windows without an R peak that were labeled so; ``None`` without any.
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
        significant: the 95 % interval of the difference excludes 0; ``None`` with records of fewer than six subjects.
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
    """One headline metric of the same configuration, trained with several seeds.

    Attributes:
        metric: its name.
        values: one value per seed; the first is that of the final model.
        mean: mean of the values.
        deviation: standard deviation (n - 1); ``None`` for one seed.
    """

    metric: str
    values: list[float]
    mean: float
    deviation: float | None
