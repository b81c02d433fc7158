"""The tables of reports and model cards, as typed cells."""

from ecg_study.reports.tables.denoiser import (
    NOISE_TYPE_NAMES,
    best_snr_improvement,
    denoising,
    denoising_by_record,
    morphology,
    noise_types,
    noise_types_by_record,
)
from ecg_study.reports.tables.detector import clock, failures, offsets, paired, peaks, peaks_by_record, stress, windows
from ecg_study.reports.tables.study import (
    changes,
    comparisons,
    importances,
    parts,
    rungs,
    seeds,
    significance,
    trainings,
    trials,
    versions,
)

__all__ = [
    "NOISE_TYPE_NAMES",
    "best_snr_improvement",
    "changes",
    "clock",
    "comparisons",
    "denoising",
    "denoising_by_record",
    "failures",
    "importances",
    "morphology",
    "noise_types",
    "noise_types_by_record",
    "offsets",
    "paired",
    "parts",
    "peaks",
    "peaks_by_record",
    "rungs",
    "seeds",
    "significance",
    "stress",
    "trainings",
    "trials",
    "versions",
    "windows",
]
