"""Measuring the final models on whole test records, beside the classical methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from checkpoints import apply_model, pick_r_peaks, window_scores
from ecg_data import Database, Progress, SegmentCache, gaussian_noise, read_record
from ecg_data.segments import mark_r_peaks, window_labels
from reports.baselines import LOWPASS, WAVELET, XQRS, lowpass, wavelet, xqrs
from reports.matching import match_r_peaks
from reports.measures import confusion, counts, denoising
from reports.results import (
    CLEAN,
    DENOISED,
    GRU,
    INPUTS,
    LSTM,
    NO_FILTER,
    NOISY,
    TOLERANCES_MS,
    RecordDenoising,
    RecordPeaks,
    RecordWindows,
)


@dataclass(frozen=True)
class WholeLead:
    """One lead of a record that is measured on, whole.

    Attributes:
        record: name of the record.
        lead: name of the lead.
        fs: sampling rate in Hz.
        clean: mV, shape ``(samples,)``.
        noisy: the same with the study's noise, as in the cached segments.
        r_peaks: annotated sample indices.
        unscored: stretches that are not scored.
    """

    record: str
    lead: str
    fs: float
    clean: np.ndarray
    noisy: np.ndarray
    r_peaks: np.ndarray
    unscored: tuple[tuple[int, int], ...]

    def window_labels(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        """Whether each window holds an R peak, and whether it is scored; both bool, ``(samples // window,)``."""
        whole = len(self.clean) // window * window
        labels = window_labels(mark_r_peaks(self.r_peaks, len(self.clean))[:whole], window)
        scored = np.ones(len(labels), dtype=bool)
        for start, end in self.unscored:
            scored[start // window : -(-end // window)] = False
        return labels, scored


@dataclass(frozen=True)
class MeasuredLead:
    """What was measured on one lead, and the signals that plots and tables show.

    Attributes:
        lead: the lead.
        denoised: mV, shape ``(samples,)``.
        detected: R peaks that the detector finds in the noisy lead.
        denoising: every method.
        windows: every kind of input.
        peaks: every detector, input and tolerance.
    """

    lead: WholeLead
    denoised: np.ndarray
    detected: np.ndarray
    denoising: list[RecordDenoising]
    windows: list[RecordWindows]
    peaks: list[RecordPeaks]


@dataclass(frozen=True)
class Models:
    """The two models with what is needed to apply them."""

    denoiser: Any
    detector: Any
    thresholds: dict[str, float]
    segment: int
    window: int
    refractory: int


def read_leads(cache: SegmentCache, database: Database, records: Sequence[str]) -> list[WholeLead]:
    """The whole leads of these records, with the noise that their cached segments have."""
    leads = []
    settings = cache.settings
    for name in dict.fromkeys(entry.record for entry in cache.entries_of(records)):
        record = read_record(database.directory / name, settings.lead, database.annotator)
        for column, lead in enumerate(record.leads):
            clean = np.ascontiguousarray(record.signal[:, column])
            noisy = clean + gaussian_noise(len(clean), settings.sigma, settings.seed, name, lead)
            leads.append(WholeLead(name, lead, record.fs, clean, noisy, record.r_peaks, record.unscored))
    return leads


def measure(models: Models, leads: Sequence[WholeLead], progress: Progress | None = None) -> list[MeasuredLead]:
    """Apply models and classical methods to each lead and compare with what is true."""
    measured = []
    for done, lead in enumerate(leads):
        if progress is not None:
            progress("Test records", done, len(leads))
        measured.append(_measure_lead(models, lead))
    if progress is not None:
        progress("Test records", len(leads), len(leads))
    return measured


def _measure_lead(models: Models, lead: WholeLead) -> MeasuredLead:
    denoised = apply_model(models.denoiser, lead.noisy, models.segment)
    signals = {NOISY: lead.noisy, DENOISED: denoised, CLEAN: lead.clean}
    windows: list[RecordWindows] = []
    peaks: list[RecordPeaks] = []
    detected = {}
    for kind in INPUTS:
        activation = apply_model(models.detector, signals[kind], models.segment)
        windows.append(_windows(models, lead, kind, activation))
        detected[kind] = pick_r_peaks(activation, models.thresholds["r_peak"], models.refractory)
        peaks += _peaks(lead, GRU, kind, detected[kind])
        peaks += _peaks(lead, XQRS, kind, xqrs(signals[kind], lead.fs))
    cleaned = {
        NO_FILTER: lead.noisy,
        LOWPASS: lowpass(lead.noisy, lead.fs),
        WAVELET: wavelet(lead.noisy),
        LSTM: denoised,
    }
    figures = [
        RecordDenoising(lead.record, lead.lead, method, denoising(lead.clean, lead.noisy, output))
        for method, output in cleaned.items()
    ]
    return MeasuredLead(lead, denoised, detected[NOISY], figures, windows, peaks)


def _windows(models: Models, lead: WholeLead, kind: str, activation: np.ndarray) -> RecordWindows:
    labels, scored = lead.window_labels(models.window)
    found = window_scores(activation, models.window, models.refractory) >= models.thresholds["window"]
    return RecordWindows(lead.record, lead.lead, kind, confusion(labels[scored], found[scored]))


def _peaks(lead: WholeLead, detector: str, kind: str, detected: np.ndarray) -> list[RecordPeaks]:
    results = []
    for tolerance_ms in TOLERANCES_MS:
        matches = match_r_peaks(lead.r_peaks, detected, round(tolerance_ms * lead.fs / 1000), lead.unscored)
        offset = 1000 * float(np.median(matches.offsets)) / lead.fs if len(matches.offsets) else None
        found = counts(matches.true_positives, matches.false_negatives, matches.false_positives)
        results.append(RecordPeaks(lead.record, lead.lead, detector, kind, tolerance_ms, found, offset))
    return results
