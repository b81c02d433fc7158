"""How well scores in a search rank models: ``python -m benchmarks.quality.objectives --raw-dir ...``.

Configurations are drawn from a preset as a search draws them. Each is trained as on the rungs of a search, with the
segments of an epoch multiplied by three from rung to rung, and scored at the end of each rung: by the objective, and by
that of 0.1.0: for detectors the area under the precision-recall curve of windows, for denoisers the loss. Each is then
trained to the end from new weights, with a learning rate that falls to 0, and judged on whole records of other
subjects, with thresholds from the validation records: a detector as recorded and with electrode motion of three levels,
a denoiser under the mixture of noises at 24 to -6 dB. Printed is Spearman's correlation of each score with that
judgement, with its 95 % interval from a bootstrap over configurations; and that of the objective of the trained model
itself. No test record is read.

The results of each configuration are appended to a file; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.folds import FOLDS
from ecg_study.ecg_data.databases.catalog import open_database
from ecg_study.ecg_data.databases.splits import VALIDATION, Split, split_mitdb
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import MIX, NoiseSource, join_windows, window_excerpts
from ecg_study.ecg_data.noise_records import open_noise_records
from ecg_study.ecg_data.noise_stress import add_electrode_motion
from ecg_study.ecg_data.removals import mean_gain
from ecg_study.ecg_data.segments.cache import open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.harm import HARM_LEVELS
from ecg_study.evaluation.leads import EvaluationLead, match, read_leads
from ecg_study.evaluation.metrics import pooled_f1
from ecg_study.evaluation.thresholds import choose_thresholds
from ecg_study.models.card import DENOISER, DETECTOR, OperatingPoint
from ecg_study.result_cache import ResultCache
from ecg_study.search_spaces.preset_files import load_preset
from ecg_study.training.backend import import_backend
from ecg_study.training.loop import train
from ecg_study.training.specs import TrainingOptions, TrainingSpec
from ecg_study.training.steps.budget import TrainingBudget
from ecg_study.training.task import TrainingTask
from ecg_study.training.weights import load_weights
from ecg_study.tuning.oracle import SearchOracle
from ecg_study.workflows.task_models import cached_task_model

SCORES = {DETECTOR: {"r_peak_error": 1, "window_pr_auc": -1}, DENOISER: {"noise_left": 1, "loss": 1}}
"""Scores of each kind of model, the objective first: 1 if lower is better, -1 if higher is."""

RUNGS = 3
_TOLERANCES_MS = (150, 50)
_LEVELS_DB = (12, 6, 0)
_LEAST_ERROR = 1e-4
_LONGEST = 81  # epochs, for which Hyperband draws 81 configurations at once
_NOISE_SEED = 23
_DRAWS = 10_000  # bootstrap samples of configurations


def main() -> None:
    """Train, judge and print."""
    options = _parser().parse_args()
    import_backend()
    task, judge_leads, validation_leads, noise = _open(options)
    kind = options.model_kind
    oracle = SearchOracle(task, seed=options.seed)
    configurations: list[dict[str, Any]] = []
    while len(configurations) < options.configurations:
        drawn = oracle.next_trial()
        if drawn is None or drawn.rung:
            raise SystemExit(
                f"objectives: the preset draws {len(configurations)} configurations at once; ask for fewer"
            )
        configurations.append(drawn.hyperparameters)
    done, known = _read(options.output), None if options.finals is None else _read(options.finals)
    for number, hyperparameters in enumerate(configurations):
        if number >= len(done):
            row: dict[str, Any] = {"hyperparameters": hyperparameters, "rungs": _rungs(task, hyperparameters, options)}
            if known is not None:
                row |= _known(known[number], hyperparameters)
            else:
                model, row["validation"] = _trained(task, hyperparameters, options)
                thresholds = choose_thresholds(model, validation_leads, noise=noise, seed=options.seed)
                row["final"] = JUDGES[kind](model.at(OperatingPoint(thresholds)), judge_leads, noise=noise)
            with options.output.open("a") as file:
                file.write(json.dumps(row) + "\n")
            done.append(row)
        row = done[number]
        scores = "; ".join(" ".join(f"{name} {rung[name]:.4f}" for name in SCORES[kind]) for rung in row["rungs"])
        print(f"{number}: final error {row['final']:.3f} %; {scores}; {row['hyperparameters']}", flush=True)
    for line in _correlations(done[: options.configurations], SCORES[kind], seed=options.seed):
        print(line)


def judge_detector(model: CachedModel, leads: Sequence[EvaluationLead], *, noise: NoiseSource) -> float:
    """Return the geometric mean of 1 - F1 in percent, over tolerances and conditions, pooled over the leads."""
    errors = []
    for level in (None, *_LEVELS_DB):
        found = []
        for lead in leads:
            signal = lead.clean
            if level is not None:
                signal = add_electrode_motion(signal, lead.r_peaks, source=noise, fs=lead.fs, snr_db=level)
            found.append(model.detect(signal).samples)
        for tolerance in _TOLERANCES_MS:
            tables = np.array(
                [match(lead, peaks, tolerance_ms=tolerance).table for lead, peaks in zip(leads, found, strict=True)]
            )
            errors.append(1 - pooled_f1(tables) + _LEAST_ERROR)
    return 100 * math.exp(float(np.mean(np.log(errors))))


def judge_denoiser(model: CachedModel, leads: Sequence[EvaluationLead], *, noise: NoiseSource) -> float:
    """Return the power of the error over that after the high-pass alone in percent: geometric mean over levels.

    The decibels of each level are a mean over the leads; a level at which the model does harm counts twice.
    """
    gains = np.zeros((len(leads), len(HARM_LEVELS), 1))
    for number, lead in enumerate(leads):
        reference = remove_baseline_wander(lead.clean, lead.fs)
        count, samples = window_excerpts(len(reference), fs=lead.fs)
        drawn = noise.draw(MIX, count=count, samples=samples, rng=np.random.default_rng([_NOISE_SEED, number]))
        added = join_windows(drawn, reference, fs=lead.fs)
        for place, level in enumerate(HARM_LEVELS):
            noisy = lead.clean + 10 ** (-level / 20) * added
            outputs = (remove_baseline_wander(noisy, lead.fs), model.denoise(noisy, keep=False))
            before, after = (np.mean(np.square(output - reference)) for output in outputs)
            gains[number, place] = 10 * np.log10(before / after)
    return float(100 * 10 ** (-mean_gain(gains, [np.arange(len(leads))])[0] / 10))


JUDGES = {DETECTOR: judge_detector, DENOISER: judge_denoiser}
"""Final error of a trained model of each kind; lower is better."""


def spearman(scores: np.ndarray, finals: np.ndarray, *, seed: int) -> tuple[float, float, float]:
    """Return Spearman's correlation with its 95 % interval from a bootstrap over configurations."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)
    drawn: list[float] = []
    while len(drawn) < _DRAWS:
        rows = rng.integers(0, len(scores), len(scores))
        if np.ptp(scores[rows]) and np.ptp(finals[rows]):
            drawn.append(spearmanr(scores[rows], finals[rows]).statistic)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(spearmanr(scores, finals).statistic), float(low), float(high)


def _correlations(rows: Sequence[dict[str, Any]], names: Mapping[str, int], *, seed: int) -> list[str]:
    finals = np.array([row["final"] for row in rows])
    lines = [f"Spearman's correlation with the final error, {len(rows)} configurations:"]
    for name, sign in names.items():
        for number in range(RUNGS):
            scores = np.array([row["rungs"][number][name] for row in rows])
            value, low, high = spearman(sign * scores, finals, seed=seed)
            lines.append(f"  {name}, rung {number}: {value:.2f} [{low:.2f}, {high:.2f}]")
    # What a score of a rung can reach at most, since it is measured on the validation records.
    name = next(iter(names))
    value, low, high = spearman(np.array([row["validation"] for row in rows]), finals, seed=seed)
    lines.append(f"  {name} of the trained model itself: {value:.2f} [{low:.2f}, {high:.2f}]")
    return lines


def _rungs(task: TrainingTask, hyperparameters: dict[str, Any], options: argparse.Namespace) -> list[dict[str, float]]:
    """Return the scores at the end of each rung of a trial."""
    scores, weights = [], None
    for rung in range(RUNGS):
        before = 3 ** (rung - 1) if rung else 0
        spec = TrainingSpec(
            id=f"000-r{rung}",
            parent=None if not rung else f"000-r{rung - 1}",
            rung=rung,
            initial_epoch=before,
            epochs=3**rung,
            hyperparameters=hyperparameters,
        )
        search = TrainingOptions.for_search(task)
        trained = train(task, spec, options=search, seed=options.seed, initial_weights=weights)
        if trained.weights is None:
            raise SystemExit(f"objectives: {trained.result.reason}")
        weights = trained.weights
        scores.append({name: trained.result.history[-1][f"val_{name}"] for name in SCORES[task.name]})
    return scores


def _trained(
    task: TrainingTask, hyperparameters: dict[str, Any], options: argparse.Namespace
) -> tuple[CachedModel, float]:
    """Train a configuration to the end, and return it and its objective on the validation records."""
    spec = TrainingSpec(id="final", epochs=1, hyperparameters=hyperparameters)
    budget = TrainingBudget(segments=options.final_segments)
    final = replace(
        TrainingOptions.for_final(task), budget=budget, schedule="cosine", keep="last", only_at_end=True, scored=True
    )
    trained = train(task, spec, options=final, seed=options.seed)
    if trained.weights is None:
        raise SystemExit(f"objectives: {trained.result.reason}")
    network = task.build(hyperparameters)
    load_weights(network, trained.weights, trial=spec.id)
    score = trained.result.history[-1][f"val_{next(iter(SCORES[task.name]))}"]
    return cached_task_model(network, task, store=ResultCache(Path(tempfile.mkdtemp()))), score


def _open(options: argparse.Namespace) -> tuple[TrainingTask, list[EvaluationLead], list[EvaluationLead], NoiseSource]:
    """Return the task, the leads that judge and those that choose thresholds, and noise for validation."""
    database = open_database("mitdb", raw_dir=options.raw_dir)
    records = open_noise_records(options.noise_dir)
    cache = open_cache(database, SegmentSettings(augmented=True), data_dir=options.data_dir, noise=records)
    usual = split_mitdb(cache.records)
    judges = FOLDS[2]
    train_records = tuple(record for record in usual.train if record not in judges)
    split = Split(train_records, usual.validation, judges, subjects=usual.subjects)
    preset = load_preset(options.preset)
    # A schedule of long trials draws many configurations at once.
    preset = replace(preset, segments_per_epoch=options.epoch_segments, max_epochs=_LONGEST, hours=None)
    task = TrainingTask(options.model_kind, cache, split, preset)
    leads = [read_leads(cache, database, records=names) for names in (judges, usual.validation)]
    return task, leads[0], leads[1], cache.noise[VALIDATION]


def _known(row: dict[str, Any], hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Return what a row of an earlier run says about the trained model."""
    if row["hyperparameters"] != hyperparameters:
        raise SystemExit("objectives: the finals are those of other configurations; use the same preset and seed")
    return {name: row[name] for name in ("final", "validation")}


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--model-kind", choices=(DETECTOR, DENOISER), default=DETECTOR, help="(default: detector)")
    parser.add_argument("--raw-dir", type=Path, required=True, help="folder of the MIT-BIH Arrhythmia Database")
    parser.add_argument("--noise-dir", type=Path, required=True, help="folder of the noise records")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="for cached segments (default: data)")
    parser.add_argument("--output", type=Path, default=Path("objectives.jsonl"), help="results of each configuration")
    parser.add_argument("--finals", type=Path, help="results of an earlier run whose trained models are judged again")
    parser.add_argument("--preset", default="standard", help="name or file of a preset (default: standard)")
    parser.add_argument("--configurations", type=int, default=16, help="(default: 16)")
    parser.add_argument("--epoch-segments", type=int, default=4096, help="segments of the first rung (default: 4096)")
    parser.add_argument("--final-segments", type=int, default=120_000, help="of the final training (default: 120000)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    return parser


if __name__ == "__main__":
    main()
