"""Fine-tuning of a model on new records, and its measurement before and after."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.databases.splits import PARTS
from ecg_study.errors import ModelError, SettingsError, StateError, TrainingError
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.leads import EvaluationLead, by_record, match, read_leads, subjects_by_record
from ecg_study.evaluation.metrics import denoising, paired_difference, pooled_f1
from ecg_study.evaluation.results.fine_tuning import FineTuning
from ecg_study.evaluation.results.values import TOLERANCES_MS, Comparison, peak_f1_metric
from ecg_study.evaluation.thresholds import choose_operating_point
from ecg_study.extras import require_packages
from ecg_study.files import exclusive, make_directory, sha256_of, write_json
from ecg_study.inference.loading import find_model
from ecg_study.models.card import DENOISER, ModelCard, OperatingPoint, read_card
from ecg_study.models.folder import SavedModel, open_model, save_model
from ecg_study.progress import Progress, deferred_interrupts
from ecg_study.reports.model_card import render_fine_tuned_card
from ecg_study.reports.schema import to_json
from ecg_study.result_cache import ResultCache
from ecg_study.search_spaces.built_in import RENAMED_PRESETS
from ecg_study.search_spaces.preset_files import load_preset
from ecg_study.search_spaces.presets import Preset
from ecg_study.training.backend import import_backend
from ecg_study.training.final_training import build_trained
from ecg_study.training.loop import train
from ecg_study.training.specs import FINE_TUNING, FinishedTraining, TrainingOptions, TrainingSpec
from ecg_study.training.task import TrainingTask
from ecg_study.workflows.preparation import prepare_data
from ecg_study.workflows.settings import SETTINGS_FILE, Settings, save_settings
from ecg_study.workflows.task_models import cached_task_model
from ecg_study.workflows.training.origins import lineage, refuse_training_records

if TYPE_CHECKING:
    import keras

SUMMARY_FILE = "finetune.json"
"""File in the output folder with the results."""

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
        name: name or folder of the original model.
        settings: records, seed and output folder; segment, window and sampling rate are those of the model.
        preset: name or TOML file of the preset that the model was trained with (default: the name in its card).
        learning_rate: learning rate of Adam (default: a tenth of the rate of the original training).
        epochs: maximum number of epochs.
        on_progress: called with the name of a step, the number of steps done, and their total.

    Raises:
        ModelError: the model cannot be opened, removes baseline wander without a high-pass filter, or has no learning
            rate in its card and none is given.
        SettingsError: the preset is unknown, or the model was trained with another one.
        DataError: the model was trained on a validation or test record.
        StateError: the new model exists.
        TrainingError: the training diverged.
    """
    require_packages()
    folder, output_dir, seed = find_model(name), Path(settings.output_dir), settings.seed
    card = read_card(folder)
    given = preset or RENAMED_PRESETS.get(card.preset, card.preset)
    loaded_preset = _preset_of(card, folder, given=given)
    _check_trainable(card, folder)
    target = output_dir / "models" / card.model_kind
    if target.exists():
        raise StateError(f"{target}: exists; choose another output folder", parameters=("output_dir",))
    rate = _usual_rate(card) if learning_rate is None else learning_rate
    make_directory(output_dir)
    import_backend()
    settings = settings.changed(segment_samples=card.segment_samples, window_samples=card.window_samples, preset=given)
    data = prepare_data(settings, fs=card.fs, on_progress=on_progress)
    more: dict[str, Any] = {"keras_layers": settings.keras_layers, "shares": data.shares}
    task = TrainingTask(card.model_kind, data.cache, data.split, loaded_preset, **more)
    busy = f"{output_dir}: another process is fine-tuning here; wait for it, or choose another output folder"
    with deferred_interrupts(), exclusive(output_dir / ".finetune.lock", busy=busy):
        original = open_model(folder)
        refuse_training_records(original.card, task, data=data.database)
        training, model = _train(original, task, rate=rate, epochs=epochs, seed=seed, on_progress=on_progress)
        store = ResultCache(output_dir / "measured")
        point, changes = _measure(original, model, task=task, database=data.database, store=store, seed=seed)
        result = FineTuning(
            source=str(folder),
            source_sha256=sha256_of(folder / "model.keras"),
            task=task.name,
            database=data.database.name,
            parts={part: task.split.part(part) for part in PARTS},
            learning_rate=rate,
            best_epoch=training.result.best_epoch or 0,
            loss_before=training.initial_loss or 0.0,
            loss_after=training.result.score or 0.0,
            history=training.result.history,
            thresholds=point.thresholds,
            calibration=point.calibration,
            changes=changes,
        )
        # The model folder last: if it is missing, an interrupted run can be repeated.
        save_settings(settings, output_dir / SETTINGS_FILE)
        write_json(output_dir / SUMMARY_FILE, asdict(result))
        new_card = _card(original.card, task, result)
        save_model(target, model, card=new_card, page=render_fine_tuned_card(new_card, result))
    return result


def _preset_of(card: ModelCard, folder: Path, *, given: str) -> Preset:
    """Return the preset that a model was trained with.

    Raises:
        SettingsError: the given one is unknown, or another one.
    """
    preset, trained_with = load_preset(given), RENAMED_PRESETS.get(card.preset, card.preset)
    if preset.name != trained_with:
        raise SettingsError("preset", f"{given!r} is not the preset of {folder} ({trained_with!r})", value=given)
    return preset


def _check_trainable(card: ModelCard, folder: Path) -> None:
    """Raise an error for a model that can be used, but not trained further."""
    if card.baseline_wander == "removed" and card.highpass_hz is None:
        problem = (
            "a denoiser of 0.1.0 that removes baseline wander by itself, which can be used, but not trained further"
        )
        raise ModelError(f"{folder}: {problem}; use a newer one")


def _train(
    original: SavedModel, task: TrainingTask, *, rate: float, epochs: int, seed: int, on_progress: Progress
) -> tuple[FinishedTraining, keras.Model]:
    import keras

    step = "Fine-tuning, epochs"
    spec = TrainingSpec(id=FINE_TUNING, epochs=epochs, hyperparameters=original.card.hyperparameters)
    training = train(
        task,
        spec,
        options=TrainingOptions.for_fine_tuning(rate),
        seed=seed,
        initial_weights=original.model.get_weights(),
        on_progress=lambda epoch, _: on_progress(step, epoch, epochs),
    )
    if training.weights is None:
        problem = f"fine-tuning: {training.result.reason}; try a lower learning_rate"
        raise TrainingError(problem, parameters=("learning_rate",))
    on_progress(step, epochs, epochs)
    keras.backend.clear_session()  # the layers of a saved model are numbered from the first
    return training, build_trained(task, spec, training=training)


def _usual_rate(card: ModelCard) -> float:
    """Return a tenth of the learning rate of the original training.

    Raises:
        ModelError: the card does not state it.
    """
    rate = card.hyperparameters.get("learning_rate")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not rate > 0:
        problem = f"model card: hyperparameters have no learning_rate, but {rate!r}; give learning_rate"
        raise ModelError(problem, parameters=("learning_rate",))
    return rate / 10


def _measure(
    original: SavedModel, model: keras.Model, *, task: TrainingTask, database: Database, store: ResultCache, seed: int
) -> tuple[OperatingPoint, tuple[Comparison, ...]]:
    """Return the operating point of the new model and its comparison with the original one on the test records."""
    before, after = (cached_task_model(each, task, store=store) for each in (original.model, model))
    point = OperatingPoint({})
    if task.has_thresholds:
        validation_leads = read_leads(task.cache, database, records=task.split.validation)
        noise, subjects = task.validation_noise, task.split.subjects
        point = choose_operating_point(after, validation_leads, noise=noise, subjects=subjects, seed=seed)
    before, after = before.at(original.card.operating_point), after.at(point)
    test_leads = read_leads(task.cache, database, records=task.split.test)
    compare = _compare_denoisers if task.name == DENOISER else _compare_detectors
    return point, compare(before, after, leads=test_leads, seed=seed)


def _compare_denoisers(
    original: CachedModel, fine_tuned: CachedModel, *, leads: list[EvaluationLead], seed: int
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
            for model in (original, fine_tuned)
        ]
        rows.append([[errors.mae, errors.rmse] for errors in both])
    table = by_record(leads, np.array(rows), mean=True)
    return tuple(
        paired_difference(
            f"{name} in mV, mean over records",
            model=(FINE_TUNED, table[:, 1, [place]]),
            reference=(ORIGINAL, table[:, 0, [place]]),
            statistic=lambda values: float(np.mean(values)),
            lower_is_better=True,
            seed=seed,
            subjects=subjects_by_record(leads).values(),
        )
        for place, name in enumerate(("MAE", "RMSE"))
    )


def _compare_detectors(
    original: CachedModel, fine_tuned: CachedModel, *, leads: list[EvaluationLead], seed: int
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
            for model in (original, fine_tuned)
        )
        changes.append(
            paired_difference(
                peak_f1_metric(tolerance),
                model=(FINE_TUNED, after),
                reference=(ORIGINAL, before),
                statistic=pooled_f1,
                seed=seed,
                subjects=subjects_by_record(leads).values(),
            )
        )
    return tuple(changes)


def _card(original: ModelCard, task: TrainingTask, result: FineTuning) -> ModelCard:
    cache = task.cache
    signals = dict(original.data.get("signals", {}))
    signals |= cache.signals([*task.split.train, *task.split.validation])
    return replace(
        original,
        thresholds=result.thresholds,
        calibration=result.calibration,
        data={
            "database": result.database,
            "key": cache.key,
            "lead": cache.settings.lead,
            **({"aligned_marks": True} if cache.settings.aligned else {}),
            "noise_sigma_mv": cache.settings.noise_sigma_mv,
            "records": {name: list(records) for name, records in result.parts.items()},
            "signals": signals,
            **lineage(original, result.source_sha256),
        },
        metrics={
            f"test, {change.metric}": {
                "before": to_json(change.reference_value),
                "after": to_json(change.model_value),
            }
            for change in result.changes
        },
    )
