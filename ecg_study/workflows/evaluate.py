"""Evaluation of any model on records that it has not seen, in minutes.

`docs/protocol.md` describes the protocol. Choose between models on the validation part, with noise for validation, and
measure what was chosen on the test part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from ecg_study.ecg_data.databases.catalog import Database, open_database, record_of, split_database
from ecg_study.ecg_data.databases.records import read_database_record
from ecg_study.ecg_data.databases.splits import DS2, MITDB_VALIDATION, NOISE_STRESS, TEST, VALIDATION, Part
from ecg_study.ecg_data.noise import gaussian_noise
from ecg_study.ecg_data.noise_records import find_noise_directory, open_noise_records
from ecg_study.ecg_data.readers.recording import ALL_LEADS
from ecg_study.errors import DataError, InputError, ModelError
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.harm import HARM_LEVELS, HARM_METHODS
from ecg_study.evaluation.experiments.model_evaluation import (
    ALIGNED,
    RECORDED,
    SEED,
    SIGMA_MV,
    WITH_NOISE,
    DenoiserEvaluation,
    DetectorEvaluation,
    EvaluationRecords,
    evaluate_denoiser,
    evaluate_detector,
)
from ecg_study.evaluation.experiments.model_evaluation import (
    ALL_LEADS as ALL_LEADS_TOGETHER,
)
from ecg_study.evaluation.experiments.noise_types import LEVELS
from ecg_study.evaluation.leads import EvaluationLead, databases_of, rows_of
from ecg_study.evaluation.metrics import pooled_f1
from ecg_study.evaluation.morphology import FALSE_MS, FALSE_ST_MV
from ecg_study.evaluation.results.detection import ConfidenceSummary
from ecg_study.evaluation.results.harm import HarmSection, MorphologyChange
from ecg_study.evaluation.results.values import TOLERANCES_MS
from ecg_study.evaluation.seen_records import records_of_seen_subjects, seen_records
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector
from ecg_study.inference.loading import list_models, load_model
from ecg_study.models.card import ModelCard
from ecg_study.progress import Progress
from ecg_study.workflows.settings import Settings, checked_databases

PARTS: dict[str, Part] = {TEST: TEST, VALIDATION: VALIDATION}

Evaluation = DetectorEvaluation | DenoiserEvaluation


@overload
def evaluate(
    model: Detector,
    data: Database,
    *,
    part: str = ...,
    noise_dir: str | Path | None = ...,
    records: Sequence[str] = ...,
    name: str = ...,
) -> DetectorEvaluation: ...


@overload
def evaluate(
    model: Denoiser,
    data: Database,
    *,
    part: str = ...,
    noise_dir: str | Path | None = ...,
    records: Sequence[str] = ...,
    name: str = ...,
) -> DenoiserEvaluation: ...


@overload
def evaluate(
    model: str | Path,
    data: Database,
    *,
    part: str = ...,
    noise_dir: str | Path | None = ...,
    records: Sequence[str] = ...,
    name: str = ...,
) -> Evaluation: ...


def evaluate(
    model: Detector | Denoiser | str | Path,
    data: Database,
    *,
    part: str = TEST,
    noise_dir: str | Path | None = None,
    records: Sequence[str] = (),
    name: str = "",
) -> Evaluation:
    """Measure a model on the records of one part of a database.

    Args:
        model: a loaded model, or the name or folder of one.
        data: the database, or several; records of another sampling rate than that of the model are resampled.
        part: ``"test"`` or ``"validation"``.
        noise_dir: folder of the MIT-BIH Noise Stress Test Database; without it, metrics under recorded noise are left
            out.
        records: some records of the part (default: all). The published noise stress test needs all.
        name: name of the model in the result (default: the name or folder that was passed, or the kind of a loaded
            model).

    Raises:
        InputError: the part or a record is unknown.
        ModelError: the model cannot be loaded, or was trained on one of the records or subjects.
    """
    loaded = model if isinstance(model, (Detector, Denoiser)) else load_model(model)
    if not isinstance(data, Database):
        raise InputError(f"data: {data!r} is not a database; open one with open_database")
    opened = open_records(data, part=part, noise_dir=noise_dir, records=records, fs=loaded.card.fs)
    title = name or (str(model) if isinstance(model, (str, Path)) else loaded.card.model_kind)
    return evaluate_on(loaded, opened, name=title, data=data)


def evaluate_on(
    model: Detector | Denoiser, records: EvaluationRecords, *, name: str, data: Database | None = None
) -> Evaluation:
    """Measure a model on opened records.

    Args:
        model: the model.
        records: the records, from `open_records`.
        name: name of the model in the result.
        data: the database of the records, to refuse those that the model was trained on.
    """
    fs = records.leads[0].fs
    if model.card.fs != fs:
        raise ModelError(f"{name}: expects {model.card.fs:g} Hz, but the records have {fs:g} Hz")
    if data is not None:
        _refuse_training_records(model.card, data, records, name)
    cached = CachedModel(model)
    return (
        evaluate_detector(cached, records, name=name)
        if isinstance(model, Detector)
        else evaluate_denoiser(cached, records, name=name)
    )


def pretrained_models() -> list[str]:
    """Return the names of the pretrained models."""
    return [found.name for found in list_models(Path("nowhere"))]


def open_records(
    data: Database,
    *,
    part: str = TEST,
    noise_dir: str | Path | None = None,
    records: Sequence[str] = (),
    known: Sequence[str] = (),
    fs: float | None = None,
    test_database: str = "",
) -> EvaluationRecords:
    """Read the records of a part, or some of them.

    Args:
        data: the database.
        part: ``"test"`` or ``"validation"``; recorded noise is taken from the same part.
        noise_dir: folder of the noise records; ``None`` for none.
        records: some records of the part (default: all).
        known: the records of the part (default: those of the database's split).
        fs: sampling rate in Hz that the records are resampled to (default: their own).
        test_database: one of several databases that is tested as a whole; see `split_database`.

    Raises:
        InputError: the part is unknown or has no record, or a record does not belong to it.
        RecordError: a record cannot be read.
    """
    if part not in PARTS:
        raise InputError(f"part: {part!r} is unknown; choose from {', '.join(PARTS)}", parameters=("part",))
    evaluated = PARTS[part]
    known = known or _records_of(data, evaluated, test_database)
    if unknown := [name for name in records if name not in known]:
        raise InputError(
            f"records: {', '.join(unknown)}: not in the {part} part; choose from {', '.join(known)}",
            parameters=("records",),
        )
    leads, all_leads = [], []
    for name in records or known:
        record = read_database_record(data, name, lead="auto", fs=fs)
        clean = np.ascontiguousarray(record.signal[:, 0])
        noisy = clean + gaussian_noise(len(clean), sigma_mv=SIGMA_MV, seed=SEED, record=name, lead=record.leads[0])
        lead = EvaluationLead(name, record.leads[0], record.fs, clean, noisy, record.r_peaks, record.excluded_intervals)
        lead = replace(lead, subject=data.member(name).subject)
        if data.has_moved_marks(name):
            moved = read_database_record(data, name, lead="auto", fs=fs, aligned=True)
            lead = replace(lead, aligned_r_peaks=moved.r_peaks)
        leads.append(lead)
        all_leads.append(read_database_record(data, name, lead=ALL_LEADS, fs=fs, annotated=False).signal)
    noise = None if noise_dir is None else open_noise_records(noise_dir)
    if noise is not None and noise.fs != leads[0].fs:
        raise DataError(f"{noise_dir}: the noise has {noise.fs:g} Hz, but the records have {leads[0].fs:g} Hz")
    published_stress = "mitdb" in data.names and test_database in ("", "mitdb") and part == TEST and not records
    return EvaluationRecords(evaluated, leads, all_leads, noise, published_stress)


def open_evaluation(
    settings: Settings, *, database: str, part: str, fs: float | None = None, on_progress: Progress | None = None
) -> tuple[Database, EvaluationRecords]:
    """Open a database and its records of one part; download what is missing.

    Args:
        settings: folders, records and annotator.
        database: name of the database, or of several.
        part: ``"test"`` or ``"validation"``.
        fs: sampling rate in Hz that the records are resampled to (default: their own).
        on_progress: called with the name of a step, the number of steps done, and their total.
    """
    raw_dir = settings.raw_dir or None
    data = open_database(
        checked_databases(database, own=settings.own_databases),
        data_dir=settings.data_dir,
        raw_dir=raw_dir,
        annotator=settings.annotator,
        progress=on_progress,
        own=settings.own_databases,
    )
    noise_dir = find_noise_directory(
        data,
        noise_dir=settings.noise_dir or None,
        raw_dir=raw_dir,
        data_dir=settings.data_dir,
        progress=on_progress,
    )
    records = open_records(
        data,
        part=part,
        noise_dir=noise_dir,
        records=settings.records,
        fs=fs,
        test_database=settings.test_database,
    )
    return data, records


def _records_of(data: Database, part: Part, test_database: str) -> tuple[str, ...]:
    """Return the records of a part; MIT-BIH may be incomplete."""
    if data.name == "mitdb" and not test_database:
        names = DS2 if part == TEST else MITDB_VALIDATION
        return tuple(name for name in names if name in data.records)
    return split_database(data, data.records, seed=SEED, test_database=test_database).part(part)


def _refuse_training_records(card: ModelCard, data: Database, records: EvaluationRecords, name: str) -> None:
    """Refuse records whose signals or subjects the model was trained on."""
    parts: dict[str, Any] = card.data.get("records", {})
    names = [lead.record for lead in records.leads]
    signals = {
        record: [digest for file, digest in data.checksums.items() if record_of(file) == record] for record in names
    }
    for known, what in (
        (seen_records(card, signals, part=records.part), ""),
        (records_of_seen_subjects(card, data, records=names, part=records.part), "the subjects of "),
    ):
        if known:
            raise ModelError(
                f"{name}: was trained on {what}{', '.join(known)}; evaluate it on other records",
                parameters=("records",),
            )
    stressed = {record.rpartition("/")[2] for record in parts.get("train", ())} & set(NOISE_STRESS)
    if stressed and "mitdb" in data.names and records.published_stress and records.noise is not None:
        raise ModelError(
            f"{name}: was trained on {', '.join(sorted(stressed))}, of which the noise stress test is made; "
            "leave out noise_dir",
            parameters=("noise_dir",),
        )


def evaluation_lines(result: Evaluation) -> Iterator[str]:
    """Yield the metrics of an evaluation as text, one line each."""
    for metric, value in metric_rows(result):
        yield f"{result.model:24} {metric:54} {value}"


def metric_rows(result: Evaluation) -> list[tuple[str, str]]:
    """Return name and value of each metric of an evaluation."""
    metrics = _detector_metrics(result) if isinstance(result, DetectorEvaluation) else _denoiser_metrics(result)
    return [("weights", f"{result.parameters:,}"), *metrics]


def _detector_metrics(result: DetectorEvaluation) -> Iterator[tuple[str, str]]:
    titles = {
        RECORDED: "as recorded",
        ALIGNED: "marks at the R peaks",
        WITH_NOISE: f"Gaussian {SIGMA_MV} mV",
        ALL_LEADS_TOGETHER: "all leads together",
    }
    for condition, title in titles.items():
        for tolerance in TOLERANCES_MS if (condition, TOLERANCES_MS[0]) in result.peak_counts else ():
            metric = f"R peaks, {title}: F1 within {tolerance} ms"
            yield metric, _percent(pooled_f1(result.peak_counts[condition, tolerance]))
        if condition in result.window_counts:
            yield f"windows, {title}: F1", _percent(pooled_f1(result.window_counts[condition]))
    for condition, count in result.false_peaks_in_pauses.items():
        yield f"inserted pauses, {titles[condition]}: false peaks", f"{count} in {result.pauses} pauses"
    records = "118e, 119e" if result.part == TEST else "em added"
    for snr, counts in result.noise_stress.items():
        yield f"noise stress, {records}, {snr} dB: F1", _percent(counts.f1)
    yield from _confidence_lines(titles[RECORDED], result.confidence)
    for snr, confidence in result.confidence_in_noise.items():
        yield from _confidence_lines(f"{records}, {snr} dB", confidence)
    for database in databases_of(result.records):
        counts_by_record = result.peak_counts[RECORDED, TOLERANCES_MS[0]][rows_of(result.records, database=database)]
        beats = int(counts_by_record[:, :2].sum())  # true positives and false negatives
        yield f"{database}: records / beats", f"{len(counts_by_record)} / {beats:,}"
        for condition in (RECORDED, ALIGNED):
            for tolerance in TOLERANCES_MS if (condition, TOLERANCES_MS[0]) in result.peak_counts else ():
                metric = f"{database}: R peaks, {titles[condition]}: F1 within {tolerance} ms"
                yield metric, _percent(result.f1(tolerance_ms=tolerance, condition=condition, database=database).value)


def _confidence_lines(title: str, confidence: ConfidenceSummary) -> Iterator[tuple[str, str]]:
    if confidence.error is not None:
        yield f"confidence, {title}: calibration error", f"{confidence.error:.4f}"
    for sure in confidence.sure:
        if sure.share is not None and sure.precision is not None:
            shown = f"{_percent(sure.precision)} correct, {_percent(sure.share)} of the correct R peaks"
            yield f"confidence of {sure.confidence:g} or more, {title}", shown


def _denoiser_metrics(result: DenoiserEvaluation) -> Iterator[tuple[str, str]]:
    noise = f"Gaussian {SIGMA_MV} mV"
    reference = "recording without baseline wander" if result.removes_baseline_wander else "recording"
    errors = f"{result.mae().value:.4f} / {result.rmse().value:.4f} (reference: {reference})"
    yield f"{noise}: MAE / RMSE in mV", errors
    yield f"{noise}: ST level moved by {FALSE_ST_MV} mV or more", f"{100 * result.false_st:.1f} % of beats"
    yield from _snr_lines(result, "")
    yield from () if result.harm is None else _harm_lines(result.harm)
    for database in databases_of(result.records):
        yield f"{database}: records", str(sum(record.startswith(f"{database}/") for record in result.records))
        values = (result.mae(database=database), result.rmse(database=database))
        yield f"{database}: {noise}: MAE / RMSE in mV", " / ".join(f"{item.value:.4f}" for item in values)
        yield from _snr_lines(result, database)


def _snr_lines(result: DenoiserEvaluation, database: str) -> Iterator[tuple[str, str]]:
    title = f"{database}: " if database else ""
    for noise_type in dict.fromkeys(name for name, _ in result.snr_improvement_by_record):
        values = [result.snr_improvement(noise=noise_type, snr_db=snr, database=database).value for snr in LEVELS]
        shown = " / ".join(f"{round(value, 1) + 0.0:.1f}" for value in values)  # no -0.0
        yield f"{title}{noise_type}: SNR improvement in dB at {_slashed(LEVELS)} dB", shown


def _harm_lines(harm: HarmSection) -> Iterator[tuple[str, str]]:
    for noise_type in dict.fromkeys(cell.noise_type for cell in harm.noisy):
        yield f"whole recordings, {noise_type}: SNR improvement in dB at", f"{_slashed(HARM_LEVELS)} dB"
        for method in HARM_METHODS:
            cells = [cell for cell in harm.noisy if (cell.noise_type, cell.method) == (noise_type, method)]
            if not cells:
                continue
            yield f"  {method}", " / ".join(f"{cell.improvement.value:.2f}" for cell in cells)
            yield "    above that high-pass", " / ".join(f"{cell.above_highpass.value + 0.0:.2f}" for cell in cells)
            for database in cells[0].by_database:
                shown = " / ".join(f"{cell.by_database[database].value + 0.0:.2f}" for cell in cells)
                yield f"    above that high-pass, {database}", shown
            yield "    worst tenth of the records", " / ".join(f"{cell.worst_tenth:.2f}" for cell in cells)
            for cell in cells:
                yield from _moved(f"    {cell.snr} dB: moved", cell.morphology)
    yield "whole recordings, no noise added: power of the change", "in dB of the reference's"
    for clean in harm.clean:
        yield f"  {clean.method}", "no change" if clean.change is None else f"{clean.change.value:.1f}"
        for database, change in clean.by_database.items():
            yield f"    {database}", f"{change.value:.1f}"
        if clean.worst_tenth is not None:
            yield "    worst tenth of the records", f"{clean.worst_tenth:.1f}"
        yield from _moved("    moved", clean.morphology)


def _moved(title: str, change: MorphologyChange | None) -> Iterator[tuple[str, str]]:
    if change is not None:
        shares = (change.false_st, change.false_qrs, change.false_qt)
        shown = " / ".join("–" if share is None else f"{100 * share:.2f}" for share in shares)
        yield f"{title} ST {FALSE_ST_MV} mV / QRS / QT {FALSE_MS} ms", f"{shown} % of beats"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _slashed(values: Iterable[object]) -> str:
    return " / ".join(map(str, values))
