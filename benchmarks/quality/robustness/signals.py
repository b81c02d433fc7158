"""Leads and signals that detectors are tried on: one lead of a record, and noise without an ECG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.quality.robustness.changes import usual
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.evaluation.leads import EvaluationLead

SIGNALS_MINUTES = 10
SIGNALS_FS = 250.0


def usual_lead(path: Path) -> EvaluationLead:
    """Return the lead of a record that a study uses."""
    signal, record = usual(read_record(path, lead="all"))
    return EvaluationLead(
        record.name, "", record.fs, signal, signal, record.r_peaks, excluded_intervals=record.excluded_intervals
    )


def signals_without_ecg(*, seed: int) -> dict[str, np.ndarray]:
    """Return ten minutes at 250 Hz of each signal in mV, by name."""
    rng = np.random.default_rng(seed)
    samples = round(60 * SIGNALS_MINUTES * SIGNALS_FS)
    white = rng.standard_normal(samples)
    pink = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.arange(samples // 2 + 1).clip(1)), n=samples)
    brown = np.fft.irfft(np.fft.rfft(white) / np.arange(samples // 2 + 1).clip(1), n=samples)
    hum = np.sin(2 * np.pi * 50 * np.arange(samples) / SIGNALS_FS)
    return {
        "white noise, 0.01 mV": 0.01 * white,
        "white noise, 0.2 mV": 0.2 * white,
        "pink noise, 0.2 mV": 0.2 * pink / pink.std(),
        "brown noise, 0.2 mV": 0.2 * brown / brown.std(),
        "hum of 50 Hz, 0.5 mV": 0.5 * hum + 0.005 * white,
    }
