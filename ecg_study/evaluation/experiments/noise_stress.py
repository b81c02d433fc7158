"""Noise stress test: detectors under electrode motion artifact, alone and after our denoiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ecg_study.ecg_data.databases.physionet import STRESS_LEVELS, stress_record
from ecg_study.ecg_data.databases.splits import NOISE_STRESS
from ecg_study.ecg_data.noise_records import STRESS_CHANNEL, NoiseRecords
from ecg_study.ecg_data.noise_stress import EC57_LEARNING_SECONDS, add_stress_noise
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.errors import RecordError
from ecg_study.evaluation.baselines.detectors import DETECTOR_NAMES, GQRS
from ecg_study.evaluation.baselines.runner import ClassicalDetectors
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.leads import EvaluationLead, by_record, match, subjects_by_record
from ecg_study.evaluation.metrics import FEWEST_RECORDS, bootstrap, count_subjects, pooled_counts, pooled_f1
from ecg_study.evaluation.results.detection import StressRow, StressSection
from ecg_study.evaluation.results.values import GRU, TOLERANCES_MS
from ecg_study.inference.r_peaks import RPeaks
from ecg_study.progress import Progress

PUBLISHED_TEST = "118e, 119e"
TEST_RECORDS = "test records + em"

_LEVELS = (12, 6, 0, -6)
"""SNR in dB of the test on the test records. Each level costs every detector two runs over all test records."""

_OMITTED = (GQRS,)
"""Left out of the test on the test records: it takes longer than all others together."""

Signals = dict[str, np.ndarray]


def stress_section(
    detector: CachedModel,
    denoiser: CachedModel | None,
    *,
    classical: ClassicalDetectors,
    noise: NoiseRecords,
    test_leads: Sequence[EvaluationLead],
    learned_from: Sequence[str],
    seed: int,
    progress: Progress,
) -> StressSection:
    """Run both noise stress tests.

    Args:
        detector: our detector.
        denoiser: our denoiser, applied before each detector; ``None`` leaves this out.
        classical: the classical detectors.
        noise: the noise records, in the folder of the published noise stress records.
        test_leads: leads of the test records, at the sampling rate of the noise.
        learned_from: names of the training and validation records. If the published test is made of one of them, it is
            left out.
        seed: seed of the bootstrap.
        progress: callback for the leads that are done.
    """
    rows: list[StressRow] = []
    chain = _Chain(detector, denoiser, classical, seed, progress)
    why_not = _why_not_published(noise, learned_from)
    missing = [f"{PUBLISHED_TEST} were not measured: {why_not}."] if why_not else []
    for snr in () if why_not else STRESS_LEVELS:
        leads = published_leads(noise, snr)
        rows += chain.measure(PUBLISHED_TEST, snr, leads, {lead.name: lead.noisy for lead in leads}, DETECTOR_NAMES)
    names = tuple(name for name in DETECTOR_NAMES if name not in _OMITTED)
    long = [lead for lead in test_leads if len(lead.clean) > EC57_LEARNING_SECONDS * lead.fs]
    em = noise.signals["em"][:, STRESS_CHANNEL]
    missing += [] if long else ["No test record is longer than five minutes."]
    for snr in _LEVELS if long else ():
        signals = {
            lead.name: add_stress_noise(lead.clean, lead.r_peaks, noise=em, fs=lead.fs, snr_db=snr) for lead in long
        }
        rows += chain.measure(TEST_RECORDS, snr, long, signals, names)
    return StressSection(rows, " ".join(missing))


def _why_not_published(noise: NoiseRecords, learned_from: Sequence[str]) -> str:
    """Return the reason why the published test cannot be run; empty if it can."""
    if set(NOISE_STRESS) & set(learned_from):
        return "the records they are made of are in the training or validation data"
    names = [stress_record(name, snr) for name in NOISE_STRESS for snr in STRESS_LEVELS]
    if not any((noise.directory / f"{name}.hea").exists() for name in names):
        return "they are not in the folder of the noise records"
    return ""


def published_leads(noise: NoiseRecords, snr: int) -> list[EvaluationLead]:
    """Read the first lead of the published noise stress records at one level in dB."""
    leads = []
    for name in NOISE_STRESS:
        path = noise.directory / stress_record(name, snr)
        record = read_record(path, lead="auto")
        if record.fs != noise.fs:
            raise RecordError(path, f"has {record.fs:g} Hz, but the noise has {noise.fs:g} Hz")
        signal = np.ascontiguousarray(record.signal[:, 0])
        leads.append(
            EvaluationLead(
                path.name, record.leads[0], record.fs, signal, signal, record.r_peaks, record.excluded_intervals
            )
        )
    return leads


class _Chain:
    """Every detector on the same signals, alone and after the denoiser."""

    def __init__(
        self,
        detector: CachedModel,
        denoiser: CachedModel | None,
        classical: ClassicalDetectors,
        seed: int,
        progress: Progress,
    ) -> None:
        self.detector, self.denoiser, self.classical = detector, denoiser, classical
        self.seed, self.progress = seed, progress

    def measure(
        self, test: str, snr: int, leads: Sequence[EvaluationLead], signals: Signals, names: Sequence[str]
    ) -> list[StressRow]:
        given = {False: signals}
        if self.denoiser is not None:
            given[True] = {name: self.denoiser.denoise(signal, keep=False) for name, signal in signals.items()}
        rows = []
        for denoised, inputs in given.items():
            label = f"Noise stress, {test}, {snr} dB" + (", denoised" if denoised else "")
            found: dict[str, Mapping[str, RPeaks]] = {
                GRU: {name: self.detector.detect(signal) for name, signal in inputs.items()}
            }
            results = self.classical.detect(inputs, names, fs=leads[0].fs, label=label)
            for name in names:
                found[name] = {lead: results[lead][name] for lead in inputs}
            rows += [self._row(test, snr, name, denoised, leads, peaks) for name, peaks in found.items()]
        return rows

    def _row(
        self,
        test: str,
        snr: int,
        name: str,
        denoised: bool,
        leads: Sequence[EvaluationLead],
        peaks: Mapping[str, RPeaks],
    ) -> StressRow:
        each = [
            match(
                lead,
                peaks[lead.name].samples,
                tolerance_ms=TOLERANCES_MS[0],
                skip_seconds=EC57_LEARNING_SECONDS,
            ).table
            for lead in leads
        ]
        table = by_record(leads, np.array(each))
        subjects = subjects_by_record(leads).values()
        enough = count_subjects(table, subjects) >= FEWEST_RECORDS
        f1 = bootstrap(table, pooled_f1, seed=self.seed, subjects=subjects) if enough else None
        return StressRow(test, snr, name, denoised, pooled_counts(table), f1)
