"""What further training of a bundle gave: measured on test records before and after, and kept as a bundle."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.errors import DataError, SettingsError, StateError, TrainingError
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.r_peaks import match
from ecg_study.evaluation.leads import EvaluationLead, by_record, read_leads
from ecg_study.evaluation.metrics import denoising, paired_difference, pooled_f1
from ecg_study.evaluation.results.fine_tuning import FineTuning
from ecg_study.evaluation.results.values import TOLERANCES_MS, Comparison, peak_f1_metric
from ecg_study.evaluation.thresholds import choose_thresholds
from ecg_study.files import sha256_of, write_json
from ecg_study.inference.loading import find_model
from ecg_study.models.card import DENOISER, ModelCard, read_card
from ecg_study.models.folder import open_model, save_model
from ecg_study.progress import Progress, deferred_interrupts
from ecg_study.reports.model_card import render_fine_tuned_card
from ecg_study.reports.schema import to_json
from ecg_study.result_cache import ResultCache
from ecg_study.search_spaces.presets import RENAMED_PRESETS, load_preset
from ecg_study.training.environment import import_tensorflow
from ecg_study.training.final_training import build_trained
from ecg_study.training.loop import train
from ecg_study.training.specs import FINE_TUNING, FinishedTraining, TrainingOptions, TrainingSpec
from ecg_study.training.task import TrainingTask
from ecg_study.workflows.settings import SETTINGS_FILE, Settings, save_settings
from ecg_study.workflows.study import prepare_data, require_packages
from ecg_study.workflows.task_models import cached_task_model

if TYPE_CHECKING:
    import keras

SUMMARY = "finetune.json"

FINE_TUNED, ORIGINAL = "fine-tuned model", "original model"


def fine_tune_model(
    name: str | Path,
    settings: Settings,
    *,
    preset: str | None = None,
    learning_rate: float | None = None,
    epochs: int = 8,
    on_progress: Progress,
) -> FineTuning:
    """Train a model further on new records, measure it before and after, and write the new model.

    Args:
        name: name or folder of the model to start from.
        settings: records, seed and output folder; segment, window and sampling rate are those of the model.
        preset: name or TOML file of the preset that the model was trained with (default: the name in its card).
        learning_rate: learning rate of Adam (default: a tenth of the rate of the original training).
        epochs: maximum number of epochs.
        on_progress: called with the name of a step, the number of steps done, and their total.

    Raises:
        ModelError: the model cannot be opened.
        SettingsError: the preset is unknown, or the model was trained with another one.
        DataError: the model was trained on a validation or test record.
        StateError: the new model exists.
    """
    require_packages()
    bundle, out, seed, progress = find_model(name), Path(settings.output_dir), settings.seed, on_progress
    card = read_card(bundle)
    trained_with = RENAMED_PRESETS.get(card.preset, card.preset)
    given = preset or trained_with
    searched = load_preset(given)
    if searched.name != trained_with:
        raise SettingsError("preset", f"{given!r} is not the preset of {bundle} ({trained_with!r})", value=given)
    target = out / "models" / card.model_kind
    if target.exists():
        raise StateError(f"{target}: exists; choose another output folder", parameters=("output_dir",))
    import_tensorflow()
    settings = settings.changed(segment_samples=card.segment_samples, window_samples=card.window_samples, preset=given)
    data = prepare_data(settings, fs=card.fs, on_progress=progress)
    database = data.database
    task = TrainingTask(card.model_kind, data.cache, data.split, searched)
    with deferred_interrupts():
        result = _fine_tune(bundle, task, database, learning_rate, epochs, seed, out, progress)
    save_settings(settings, out / SETTINGS_FILE)
    return result


def _fine_tune(
    bundle: Path,
    task: TrainingTask,
    database: Database,
    learning_rate: float | None,
    epochs: int,
    seed: int,
    out: Path,
    progress: Progress,
) -> FineTuning:
    import keras

    target = out / "models" / task.name
    old = open_model(bundle)
    _refuse_known(old.card, task)
    rate = learning_rate if learning_rate is not None else float(old.card.hyperparameters["learning_rate"]) / 10
    spec = TrainingSpec(id=FINE_TUNING, epochs=epochs, hyperparameters=old.card.hyperparameters)
    tuned = train(
        task,
        spec,
        options=TrainingOptions.for_fine_tuning(rate),
        seed=seed,
        initial_weights=old.model.get_weights(),
        on_progress=lambda epoch, _: progress("Fine-tuning, epochs", epoch, epochs),
    )
    if tuned.weights is None:
        raise TrainingError(
            f"fine-tuning: {tuned.result.reason}; try a lower learning_rate", parameters=("learning_rate",)
        )
    progress("Fine-tuning, epochs", epochs, epochs)
    keras.backend.clear_session()  # the layers of a saved model are numbered from the first
    new_model = build_trained(task, spec, tuned)
    store = ResultCache(out / "measured")
    before, after = (cached_task_model(model, task, store=store) for model in (old.model, new_model))
    thresholds: dict[str, float] = {}
    test_leads = read_leads(task.cache, database, records=task.split.test)
    if task.name == DENOISER:
        changes = _denoiser_changes(before, after, test_leads, seed)
    else:
        leads = read_leads(task.cache, database, records=task.split.validation)
        thresholds = choose_thresholds(after, leads, noise=task.validation_noise, seed=seed)
        before, after = before.with_thresholds(old.card.thresholds), after.with_thresholds(thresholds)
        changes = _detector_changes(before, after, test_leads, seed)
    result = _result(bundle, task, database, rate, tuned, thresholds, changes)
    _write(target, out, old.card, task, result, new_model)
    return result


def _refuse_known(card: ModelCard, task: TrainingTask) -> None:
    """Refuse to test or validate on the very signals that the bundle was trained on."""
    trained = {digest for digests in card.data.get("signals", {}).values() for digest in digests}
    asked = task.cache.signals([*task.split.validation, *task.split.test])
    known = sorted(record for record, digests in asked.items() if trained & set(digests))
    if known:
        problem = f"{', '.join(known)}: the model was trained on these records, so they cannot be used to measure it"
        raise DataError(f"{problem}; leave them out of records", parameters=("records",))


def _denoiser_changes(
    old: CachedModel, new: CachedModel, leads: list[EvaluationLead], seed: int
) -> tuple[Comparison, ...]:
    rows = []
    for lead in leads:
        both = [
            denoising(
                model.reference(lead.clean),
                model.denoise(lead.noisy, keep=False),
                noisy=lead.noisy,
                fs=lead.fs,
            )
            for model in (old, new)
        ]
        rows.append([[figures.mae, figures.rmse] for figures in both])
    table = by_record(leads, np.array(rows), mean=True)
    return tuple(
        paired_difference(
            f"{name} in mV, mean over records",
            model=(FINE_TUNED, table[:, 1, [place]]),
            reference=(ORIGINAL, table[:, 0, [place]]),
            statistic=lambda values: float(np.mean(values)),
            lower_is_better=True,
            seed=seed,
        )
        for place, name in enumerate(("MAE", "RMSE"))
    )


def _detector_changes(
    old: CachedModel, new: CachedModel, leads: list[EvaluationLead], seed: int
) -> tuple[Comparison, ...]:
    changes = []
    for tolerance in (TOLERANCES_MS[0], TOLERANCES_MS[-1]):
        before, after = (
            by_record(
                leads,
                np.array(
                    [match(lead, model.detect(lead.noisy).samples, tolerance_ms=tolerance).table for lead in leads]
                ),
            )
            for model in (old, new)
        )
        changes.append(
            paired_difference(
                peak_f1_metric(tolerance),
                model=(FINE_TUNED, after),
                reference=(ORIGINAL, before),
                statistic=pooled_f1,
                seed=seed,
            )
        )
    return tuple(changes)


def _result(
    bundle: Path,
    task: TrainingTask,
    database: Database,
    learning_rate: float,
    tuned: FinishedTraining,
    thresholds: dict[str, float],
    changes: tuple[Comparison, ...],
) -> FineTuning:
    return FineTuning(
        source=str(bundle),
        source_sha256=sha256_of(bundle / "model.keras"),
        task=task.name,
        database=database.name,
        parts={name: task.split.part(name) for name in ("train", "validation", "test")},
        learning_rate=learning_rate,
        best_epoch=tuned.result.best_epoch or 0,
        loss_before=tuned.initial_loss or 0.0,
        loss_after=tuned.result.score or 0.0,
        history=tuned.result.history,
        thresholds=thresholds,
        changes=changes,
    )


def _write(target: Path, out: Path, old: ModelCard, task: TrainingTask, result: FineTuning, model: keras.Model) -> None:
    cache = task.cache
    signals = dict(old.data.get("signals", {}))
    signals |= cache.signals([*task.split.train, *task.split.validation])
    card = replace(
        old,
        thresholds=result.thresholds or old.thresholds,
        data={
            "database": result.database,
            "key": cache.key,
            "lead": cache.settings.lead,
            "noise_sigma_mv": cache.settings.noise_sigma_mv,
            "records": {name: list(records) for name, records in result.parts.items()},
            "signals": signals,
            "fine_tuned_from": {"sha256": result.source_sha256, "data": _without_signals(old.data)},
        },
        metrics={
            f"test, {change.metric}": {
                "before": to_json(change.reference_value),
                "after": to_json(change.model_value),
            }
            for change in result.changes
        },
    )
    # The bundle last: a run that is stopped before it can be made again.
    write_json(out / SUMMARY, asdict(result))
    save_model(target, model, card=card, page=render_fine_tuned_card(card, result))


def _without_signals(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "signals"}
