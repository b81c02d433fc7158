"""Training for one noise version, which can be stopped and resumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.quality.deepfilter.augmentation import BeatReader
from benchmarks.quality.deepfilter.beats import Beats, BenchmarkBeats
from benchmarks.quality.deepfilter.noise import VersionNoise, add_noise, fixed_windows, validation_ratios
from benchmarks.quality.deepfilter.settings import TrainingSettings
from ecg_study.ecg_data.segments.batches import ReadRows
from ecg_study.ecg_data.segments.stream import SegmentStream, ValidationBatches
from ecg_study.errors import TrainingError
from ecg_study.training.specs import TrainingOptions, training_seed
from ecg_study.training.steps.budget import TrainingBudget
from ecg_study.training.steps.recorder import Record
from ecg_study.training.steps.saved_state import TrainingStateFile
from ecg_study.training.steps.step_loop import StepCallback, StepLoop

if TYPE_CHECKING:
    import keras

VALIDATION_BEATS_PER_RECORD = 200
"""Validation after each epoch takes this many beats of each record, evenly spaced, to save time."""

_WARMUP = 0.03  # share of the training in which the learning rate rises
_DIVERGED = "training diverged: its loss was not finite; choose a lower learning_rate or another seed"


@dataclass(frozen=True)
class TrainedVersion:
    """A trained model of one noise version.

    Attributes:
        model: with the weights that are kept.
        record: history, and what is kept.
        beats: beats that the model has seen, each as often as it was shown.
        seconds: time of the training over all runs of the program.
        parameters: weights of the model.
    """

    model: keras.Model
    record: Record
    beats: int
    seconds: float
    parameters: int


def train_version(
    version: int,
    beats: BenchmarkBeats,
    *,
    noise: VersionNoise,
    settings: TrainingSettings,
    budget: TrainingBudget,
    state_path: Path,
    on_step: StepCallback | None = None,
) -> TrainedVersion:
    """Train the model of one noise version, or resume its training.

    Weights with the lowest validation loss are kept; with ``settings.refit``, which leaves nothing to validate on, the
    averaged weights at the end.

    Args:
        version: noise version.
        beats: prepared beats; those for the test are not read.
        noise: noise of the version; that for the test is not read.
        settings: everything that determines the weights but the budget.
        budget: length of the training.
        state_path: file from which the training resumes, and in which its state is saved.
        on_step: called with the progress a few times per second.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the state is saved.
        SettingsError: a setting is out of range, or the budget is smaller than what is saved.
        StateError: the saved state is damaged, or belongs to other settings or data.
        TrainingError: training diverged.
    """
    import keras

    from benchmarks.quality.deepfilter.network import build_network
    from ecg_study.training.environment import seed_everything
    from ecg_study.training.steps.network import Network
    from ecg_study.training.steps.recorder import Recorder

    keras.backend.clear_session()
    seed_everything(training_seed(settings.seed, task="deepfilter", name=f"version {version}"))
    network = Network(build_network(settings.model))
    options = TrainingOptions(
        keep="last" if settings.refit else "best loss",
        schedule="cosine",
        warmup=_WARMUP,
        budget=budget,
        stop_when_diverged=True,
        stops_early=False,
    )
    trained = trained_beats(beats, settings)
    stream = SegmentStream(
        BeatReader(trained, noise.training, settings.augmentation),
        np.arange(len(trained)),
        batch_size=settings.model.batch_size,
        seed=training_seed(settings.seed, task="deepfilter", name=f"version {version}/data"),
    )
    recorder = Recorder(network, options, objective=("val_loss", "min"), validated=not settings.refit)
    loop = StepLoop(
        network,
        stream,
        validation=None if settings.refit else validation_batches(beats.validation, noise),
        budget=budget,
        options=options,
        recorder=recorder,
    )
    data = [trained.checksum, len(noise.training), float(noise.training.sum(dtype=np.float64))]
    state_file = TrainingStateFile(state_path, conditions={**settings.as_json(), "version": version, "data": data})
    with state_file.locked():
        state = state_file.load()
        if state is None:
            loop.begin()
        else:
            try:
                loop.resume(state)
            except ValueError as error:
                raise state_file.damaged(str(error)) from error
        loop.run(state_file=state_file, on_step=on_step)
    if recorder.record.score is None:
        raise TrainingError(_DIVERGED, parameters=("seed",))
    network.restore(recorder.kept_variables(loop.initial))
    record = recorder.record
    return TrainedVersion(
        network.model, record, int(record.history[-1]["segments"]), loop.seconds, network.model.count_params()
    )


def trained_beats(beats: BenchmarkBeats, settings: TrainingSettings) -> Beats:
    """Return the beats to train on."""
    parts = [beats.training]
    if settings.refit:
        parts.append(beats.validation)
    if settings.augmentation.second_lead:
        parts.append(beats.second)
        if settings.refit:
            parts.append(beats.second_validation)
    return Beats(
        np.concatenate([part.signals for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.records for part in parts]),
    )


def noisy_validation_beats(beats: Beats, noise: VersionNoise) -> np.ndarray:
    """Return validation beats with fixed noise, float32 of shape ``(beats, SAMPLES)``."""
    return add_noise(beats.signals, fixed_windows(noise.validation, len(beats)), validation_ratios(len(beats)))


def validation_batches(beats: Beats, noise: VersionNoise, *, batch_size: int = 512) -> ValidationBatches:
    """Return batches with some of the validation beats of each record."""
    chosen = np.concatenate([_evenly(np.flatnonzero(beats.records == name)) for name in np.unique(beats.records)])
    noisy, clean = noisy_validation_beats(beats, noise)[chosen], beats.signals[chosen]
    read: ReadRows = lambda rows, _: (noisy[rows][..., np.newaxis], clean[rows][..., np.newaxis])  # noqa: E731
    return ValidationBatches(read, np.arange(len(chosen)), batch_size)


def _evenly(rows: np.ndarray) -> np.ndarray:
    count = min(len(rows), VALIDATION_BEATS_PER_RECORD)
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]
