"""DeepFilter's benchmark: an LSTM against baseline wander of beats of the QT database, under the published protocol.

    python -m benchmarks.quality.deepfilter --qtdb-dir ../qtdb --noise-dir ../nstdb --hours 4 --refit
    python -m benchmarks.quality.deepfilter --qtdb-dir ../qtdb --noise-dir ../nstdb --epochs 3 --versions 1 \
        --judge validation --set time_stretch=1 --output-dir outputs/deepfilter-plain

Each noise version gets a model of its own and the whole budget. A run that is stopped, by Ctrl-C or a kill, resumes
with the same command. Make choices with ``--judge validation``: it reads no test beat. Then train with ``--refit`` on
all training records, and judge the test beats once.

References:
    Romero et al., DeepFilter: An ECG baseline wander removal filter using deep learning techniques. Biomedical Signal
    Processing and Control 70:102992, 2021.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.quality.deepfilter.augmentation import NO_AUGMENTATION
from benchmarks.quality.deepfilter.beats import PUBLISHED_COUNTS, Beats, BenchmarkBeats, read_beats
from benchmarks.quality.deepfilter.noise import (
    VersionNoise,
    add_noise,
    fixed_windows,
    parse_versions,
    published_ratios,
    read_noise,
    version_noise,
)
from benchmarks.quality.deepfilter.results import BenchmarkResult, Judge, TrainingFacts, baselines, render
from benchmarks.quality.deepfilter.settings import TrainingSettings, vary
from benchmarks.quality.deepfilter.training import TrainedVersion, noisy_validation_beats, train_version
from ecg_study.cli.console import open_console
from ecg_study.cli.displays.training_display import progress_line, validation_line
from ecg_study.errors import EcgStudyError, SettingsError
from ecg_study.files import make_directory, write_text
from ecg_study.formatting import duration
from ecg_study.progress import deferred_interrupts
from ecg_study.training.backend import import_backend
from ecg_study.training.steps.budget import TrainingBudget
from ecg_study.training.steps.step_loop import StepCallback, StepProgress

TEST, VALIDATION = "test", "validation"
OUR_METHOD, AVERAGED_METHOD = "ours (LSTM)", "ours, mean of both polarities"

_LINE_SECONDS = 60.0  # between two lines within an epoch
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Train and judge, print the table, and write it to the output folder."""
    options = _parser().parse_args(arguments)
    console = open_console()
    try:
        with deferred_interrupts():
            _run(options, console)
    except EcgStudyError as error:
        print(f"deepfilter: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the training is saved. To resume, run the same command", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _run(options: argparse.Namespace, console: Console) -> None:
    versions, settings, budget = parse_versions(options.versions), _settings(options), _budget(options)
    if options.refit and options.judge == VALIDATION:
        problem = "trains on the validation records, so they cannot be judged"
        raise SettingsError("refit", problem, parameters=("judge",))
    make_directory(options.output_dir)
    signal = read_noise(options.noise_dir)
    console.print("Preparing beats")
    beats = read_beats(options.qtdb_dir)
    training, test = beats.counts
    held = f"{len(beats.validation):,} of them for validation"
    console.print(f"{training:,} training beats ({held}), {test:,} test beats")
    import_backend(options.threads)
    judge, facts = Judge(), []
    for version in versions:
        noise = version_noise(signal, version)
        console.print(f"Noise version {version}")
        trained = train_version(
            version,
            beats,
            noise=noise,
            settings=settings,
            budget=budget,
            state_path=options.output_dir / f"version-{version}.npz",
            on_step=_log(console),
        )
        facts.append(_facts(version, trained))
        _judge(judge, version, trained=trained, beats=beats, noise=noise, part=options.judge)
    result = BenchmarkResult(
        part=options.judge,
        counts=beats.counts,
        as_published=beats.counts == PUBLISHED_COUNTS,
        rows=judge.rows(),
        trainings=facts,
        settings={**settings.as_json(), "budget": str(budget)},
    )
    lines = list(render(result))
    write_text(options.output_dir / "results.json", json.dumps(result.as_json(), indent=1) + "\n")
    write_text(options.output_dir / "results.md", "\n".join(lines) + "\n")
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _judge(
    judge: Judge, version: int, *, trained: TrainedVersion, beats: BenchmarkBeats, noise: VersionNoise, part: str
) -> None:
    """Measure the trained model and the methods without training on the beats of one version."""
    from benchmarks.quality.deepfilter.network import denoise

    chosen, noisy = _judged_beats(beats, noise, part)
    for name, apply in baselines().items():
        judge.add(name, version, clean=chosen.signals, denoised=apply(noisy))
    for name, average in ((OUR_METHOD, False), (AVERAGED_METHOD, True)):
        denoised = denoise(trained.model, noisy, average_polarity=average)
        judge.add(name, version, clean=chosen.signals, denoised=denoised)


def _judged_beats(beats: BenchmarkBeats, noise: VersionNoise, part: str) -> tuple[Beats, np.ndarray]:
    """Return the clean beats of a part, and the same with noise."""
    if part == VALIDATION:
        return beats.validation, noisy_validation_beats(beats.validation, noise)
    test = beats.test
    return test, add_noise(test.signals, fixed_windows(noise.test, len(test)), published_ratios(len(test)))


def _facts(version: int, trained: TrainedVersion) -> TrainingFacts:
    return TrainingFacts(
        version=version,
        parameters=trained.parameters,
        beats=trained.beats,
        seconds=round(trained.seconds, 1),
        epoch=trained.record.epoch,
        averaged=trained.record.averaged,
        history=trained.record.history,
    )


def _log(console: Console) -> StepCallback:
    """Return a callback that prints a line for each epoch, and one each minute."""
    shown: int | None = None
    last = 0.0

    def step(progress: StepProgress) -> None:
        nonlocal shown, last
        if shown is None:  # epochs of earlier runs were printed then
            new = progress.history and progress.history[-1]["segments"] == progress.segments
            shown = len(progress.history) - bool(new)
        left = "" if progress.seconds_left is None else f"; {duration(progress.seconds_left)} left"
        for row in progress.history[shown:]:
            console.print(f"{validation_line(row)}{left}", soft_wrap=True, highlight=False)
            last = progress.seconds
        shown = len(progress.history)
        if progress.seconds - last >= _LINE_SECONDS:
            console.print(f"{100 * progress.share:.1f} %, {progress_line(progress)}", soft_wrap=True, highlight=False)
            last = progress.seconds

    return step


def _settings(options: argparse.Namespace) -> TrainingSettings:
    settings = TrainingSettings(refit=options.refit, seed=options.seed)
    if options.no_augmentation:
        settings = TrainingSettings(augmentation=NO_AUGMENTATION, refit=options.refit, seed=options.seed)
    return vary(settings, parse_values(options.set))


def _budget(options: argparse.Namespace) -> TrainingBudget:
    if options.epochs is None and options.hours is None:
        raise SettingsError("hours", "give the hours or the epochs of a training", parameters=("epochs",))
    return TrainingBudget(epochs=options.epochs, hours=options.hours)


def parse_values(given: Sequence[str]) -> dict[str, Any]:
    """Parse ``name=value``, each value as JSON or else as a text.

    Raises:
        SettingsError: a text has no name or no value.
    """
    values: dict[str, Any] = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator or not name or not value:
            raise SettingsError("set", f"{pair!r} is not of the form NAME=VALUE", value=pair)
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.deepfilter", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--qtdb-dir", required=True, type=Path, help="folder of the QT database")
    parser.add_argument("--noise-dir", required=True, type=Path, help="folder of the Noise Stress Test Database")
    parser.add_argument(
        "--output-dir",
        default=Path("outputs/deepfilter"),
        type=Path,
        help="for the state of the trainings and the results (default: outputs/deepfilter)",
    )
    parser.add_argument("--versions", default="1,2", help="noise versions, separated by commas (default: 1,2)")
    parser.add_argument("--hours", type=float, help="length of each version's training")
    parser.add_argument("--epochs", type=int, help="the same as passes over the training beats")
    parser.add_argument("--judge", choices=(TEST, VALIDATION), default=TEST, help="beats to judge (default: test)")
    parser.add_argument(
        "--refit", action="store_true", help="train on the validation records too, when all choices are made"
    )
    parser.add_argument("--no-augmentation", action="store_true", help="vary nothing but the noise")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="setting of the network or the augmentation"
    )
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    parser.add_argument("--threads", type=int, help="cores to use (default: all)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
