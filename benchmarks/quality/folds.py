"""One configuration, trained on 14 of the 19 subjects of DS1 and evaluated on the other five, to make choices.

    python -m benchmarks.quality.folds --raw-dir ../mitdb --noise-dir ../nstdb --fold 1 --units 64,64
    python -m benchmarks.quality.folds --raw-dir ../mitdb --noise-dir ../nstdb --vary transform_noise=false

Fold 1 evaluates on the validation records of every study, folds 2 and 3 on other records of DS1. Records 118, 119 and
201 are in no fold; 112, 115, 122 and 209 are training records in all three. The noise is that for training and for
validation; test records and their noise are never read. On one core, 6 epochs take about 8 minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ecg_study.ecg_data.databases.catalog import open_database
from ecg_study.ecg_data.databases.splits import MITDB_VALIDATION, VALIDATION, Split, split_mitdb
from ecg_study.ecg_data.noise_records import NoiseRecords, find_noise_directory
from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.ecg_data.segments.cache import open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.errors import EcgStudyError
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.model_evaluation import EvaluationRecords, evaluate_denoiser, evaluate_detector
from ecg_study.evaluation.leads import match
from ecg_study.evaluation.results.values import TOLERANCES_MS
from ecg_study.evaluation.thresholds import choose_thresholds
from ecg_study.models.card import DENOISER, DETECTOR, MODEL_KINDS, OperatingPoint
from ecg_study.result_cache import ResultCache
from ecg_study.search_spaces.built_in import PRESETS, PRETRAINED
from ecg_study.training.backend import import_backend
from ecg_study.training.loop import train
from ecg_study.training.specs import TrainingOptions, TrainingSpec
from ecg_study.training.task import TrainingTask
from ecg_study.training.weights import load_weights
from ecg_study.workflows.evaluate import evaluation_lines, open_records
from ecg_study.workflows.task_models import cached_task_model

FOLDS = {
    1: MITDB_VALIDATION,
    2: ("106", "116", "124", "208", "230"),
    3: ("101", "108", "205", "207", "223"),
}
"""Subjects of DS1 for evaluation; the others are for training."""

_PRESETS = {"robust": PRETRAINED, "white-noise": PRESETS["white-noise"]}


def main(arguments: list[str] | None = None) -> int:
    """Train one configuration, and print its metrics on the records of the fold."""
    options = _parser().parse_args(arguments)
    try:
        raw = Path(options.raw_dir) if options.raw_dir else None
        database = open_database("mitdb", data_dir=options.data_dir, raw_dir=raw)
        folder = find_noise_directory(
            database,
            raw_dir=options.raw_dir,
            noise_dir=options.noise_dir,
            data_dir=options.data_dir,
            required=True,
        )
        assert folder is not None
        held = FOLDS[options.fold]
        records = open_records(database, part=VALIDATION, noise_dir=folder, records=held, known=held)
        assert records.noise is not None
        import_backend()
        task, hyperparameters = _task(options, database, records.noise)
    except EcgStudyError as error:
        print(f"folds: error: {error}", file=sys.stderr)
        return 2
    plan = TrainingSpec(id=f"{task.name}-fold", epochs=options.epochs, hyperparameters=hyperparameters)
    trained = train(
        task,
        plan,
        options=TrainingOptions.for_final(task),
        seed=options.seed,
        on_progress=lambda epoch, logs: print(epoch, logs, flush=True),
    )
    if trained.weights is None:
        print(f"folds: error: {trained.result.reason}", file=sys.stderr)
        return 2
    network = task.build(hyperparameters)
    load_weights(network, trained.weights, trial=plan.id)
    with tempfile.TemporaryDirectory() as kept:
        model = cached_task_model(network, task, store=ResultCache(Path(kept)))
        for line in _measure(model, task, records, options):
            print(line, flush=True)
    return 0


def _measure(
    model: CachedModel, task: TrainingTask, records: EvaluationRecords, options: argparse.Namespace
) -> Iterator[str]:
    """Yield the metrics of the model, and the errors of a detector by record."""
    name = f"fold {options.fold}"
    if task.name != DETECTOR:
        yield from evaluation_lines(evaluate_denoiser(model, records, name=name))
        return
    thresholds = choose_thresholds(model, records.leads, noise=task.validation_noise, seed=options.seed)
    yield f"thresholds: {thresholds} (chosen on these records)"
    if options.threshold is not None:
        thresholds["r_peak"] = options.threshold
    model = model.at(OperatingPoint(thresholds))
    yield from evaluation_lines(evaluate_detector(model, records, name=name))
    # One subject may decide a fold.
    for lead in records.leads:
        _, missed, false = match(lead, model.detect(lead.clean).samples, tolerance_ms=TOLERANCES_MS[0]).table
        yield f"{lead.record}, as recorded: {missed} missed, {false} false of {len(lead.r_peaks):,} beats"


def _task(options: argparse.Namespace, database: Any, noise: NoiseRecords) -> tuple[TrainingTask, dict[str, Any]]:
    cache = open_cache(database, SegmentSettings(augmented=True), data_dir=options.data_dir, noise=noise)
    usual = split_mitdb(cache.records)
    held = FOLDS[options.fold]
    train = tuple(record for record in (*usual.train, *usual.validation) if record not in held)
    split = Split(train, held, usual.test, usual.excluded_records, usual.subjects)
    units = [int(number) for number in options.units.split(",")]
    preset = _PRESETS[options.preset]
    bounds = replace(
        preset.denoiser if options.task == DENOISER else preset.detector,
        layers=(len(units),),
        units=tuple(sorted(set(units))),
        dropout=(options.dropout,),
        frame=(options.frame,),
        residual=(True,),
        dense_units=(options.dense_units,),
        filters=(options.filters,),
    )
    name = f"{options.task}_augmentation"
    augmentation = replace(getattr(preset, name), **_varied(options.vary))
    preset = replace(
        preset, **{options.task: bounds, name: augmentation}, batch_size=options.batch_size, patience=options.epochs
    )
    hyperparameters = {
        "layers": len(units),
        **{f"units_{number}": count for number, count in enumerate(units, start=1)},
        "dropout": options.dropout,
        "frame": options.frame,
        "direction": "both",
        "learning_rate": options.learning_rate,
        "residual": True,
        "dense_units": options.dense_units,
        "filters": options.filters,
    }
    return TrainingTask(options.task, cache, split, preset), hyperparameters


def _varied(given: list[str]) -> dict[str, Any]:
    """Parse values of `Augmentation` from ``name=value``, each as JSON."""
    known = {item.name for item in fields(Augmentation)}
    values = {}
    for pair in given:
        name, _, value = pair.partition("=")
        if name not in known:
            raise EcgStudyError(f"--vary: {name!r} is unknown; choose from {', '.join(sorted(known))}")
        try:
            read = json.loads(value)
        except ValueError as error:
            raise EcgStudyError(f"--vary: {value!r} is not valid JSON, such as true, 0.3 or [-8,15]") from error
        values[name] = tuple(read) if isinstance(read, list) else read
    return values


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", maxsplit=1)[0],
        epilog="examples:\n" + "\n".join((__doc__ or "").split("\n")[2:4]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--raw-dir", default="", help="folder of the MIT-BIH Arrhythmia Database (default: download)")
    parser.add_argument("--noise-dir", default="", help="folder of the Noise Stress Test Database (default: download)")
    parser.add_argument("--data-dir", default="data", type=Path, help="for downloads and segments (default: data)")
    parser.add_argument("--fold", type=int, choices=tuple(FOLDS), default=1, help="(default: 1)")
    parser.add_argument("--task", choices=MODEL_KINDS, default=DETECTOR, help="(default: detector)")
    parser.add_argument("--preset", choices=tuple(_PRESETS), default="robust", help="(default: robust)")
    parser.add_argument("--units", default="64,64", help="units of each layer (default: 64,64)")
    parser.add_argument("--frame", type=int, default=8, help="(default: 8)")
    parser.add_argument("--dropout", type=float, default=0.0, help="(default: 0)")
    parser.add_argument("--dense-units", type=int, default=0, help="of a dense layer of a detector (default: none)")
    parser.add_argument("--filters", type=int, default=0, help="of a convolution before the layers (default: none)")
    parser.add_argument("--learning-rate", type=float, default=4e-3, help="highest learning rate (default: 0.004)")
    parser.add_argument("--batch-size", type=int, default=64, help="(default: 64)")
    parser.add_argument("--epochs", type=int, default=6, help="(default: 6)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    parser.add_argument(
        "--threshold", type=float, help="threshold of R peaks (default: chosen on the records of the fold)"
    )
    parser.add_argument("--vary", action="append", default=[], metavar="NAME=VALUE", help="setting of the augmentation")
    return parser


if __name__ == "__main__":
    sys.exit(main())
