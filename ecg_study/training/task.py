"""Training tasks: a model with its search space, data and objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ecg_study.ecg_data.databases.splits import VALIDATION, Split
from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.ecg_data.segments.cache import SegmentCache
from ecg_study.ecg_data.segments.transfer import CacheReference, find_cache, refer_to
from ecg_study.models.card import DENOISER, REFRACTORY_PERIOD
from ecg_study.search_spaces.presets import Preset
from ecg_study.search_spaces.training_data import TrainingData

if TYPE_CHECKING:
    import keras

    from ecg_study.ecg_data.segments.batches import ReadRows
    from ecg_study.ecg_data.segments.stream import SegmentStream, ValidationBatches
    from ecg_study.training.pretrained import Pretrained
    from ecg_study.training.scores.scored import Scored
    from ecg_study.training.steps.network import Network

_VALIDATION_BATCH = 128


@dataclass(frozen=True)
class TrainingTask:
    """A model to search or train, with its data.

    Attributes:
        name: one of `MODEL_KINDS`.
        cache: the segments.
        split: training, validation and test records.
        preset: ranges of the hyperparameters and size of the training.
        refit: train on the validation records and their noise too, after all choices have been made.
        keras_layers: train with the recurrent layers of Keras; otherwise by compiled code where it can replace them,
            which gives the same weights but for rounding.
        shares: database → share of its segments in training, for databases that the user has given one.
        pretrained: model whose weights trainings of the same network start from; ``None`` for random weights.
    """

    name: str
    cache: SegmentCache
    split: Split
    preset: Preset
    refit: bool = False
    keras_layers: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)
    pretrained: Pretrained | None = field(default=None, compare=False)

    @property
    def training_records(self) -> tuple[str, ...]:
        """Records that the model is trained on."""
        return (*self.split.train, *self.split.validation) if self.refit else self.split.train

    @property
    def augmentation(self) -> Augmentation | None:
        """Augmentation of training segments; ``None`` for cached segments."""
        return self.preset.denoiser_augmentation if self.name == DENOISER else self.preset.detector_augmentation

    @property
    def batch_size(self) -> int:
        """Segments per training batch."""
        own = self.preset.denoiser_batch_size if self.name == DENOISER else None
        return own or self.preset.batch_size

    @property
    def removes_baseline_wander(self) -> bool:
        """The model removes baseline wander too."""
        return self.name == DENOISER and self.augmentation is not None and self.augmentation.removes_baseline_wander

    @property
    def baseline_window_s(self) -> float | None:
        """Length of the moving average that a detector subtracts, in seconds; ``None`` subtracts nothing."""
        return None if self.name == DENOISER or self.augmentation is None else self.augmentation.baseline_window_s

    @property
    def validation_noise(self) -> NoiseSource | None:
        """Recorded noise for threshold selection; ``None`` if training uses none."""
        if self.augmentation is None or not self.augmentation.noise_probability:
            return None
        return self.cache.noise[VALIDATION]

    @property
    def has_thresholds(self) -> bool:
        """The model has thresholds that are chosen on validation records, see `ModelCard.thresholds`."""
        return self.name != DENOISER or (self.removes_baseline_wander and self.validation_noise is not None)

    @property
    def polarity(self) -> Literal["upright", "either"]:
        """``"either"`` if training shows inverted leads too."""
        return "either" if self.augmentation is not None and self.augmentation.inversion_probability else "upright"

    @property
    def objective(self) -> tuple[str, str]:
        """Name of the validation metric that ranks trials, and ``"min"`` or ``"max"``."""
        if self.name == DENOISER:
            from ecg_study.search_spaces.denoiser import OBJECTIVE, WANDER_REMOVED_OBJECTIVE

            return WANDER_REMOVED_OBJECTIVE if self.has_thresholds else OBJECTIVE
        from ecg_study.search_spaces.detector import OBJECTIVE as DETECTOR_OBJECTIVE

        return DETECTOR_OBJECTIVE

    def score(self) -> Callable[[Network], Scored] | None:
        """Return the score on the validation records; ``None`` for a denoiser that keeps baseline wander."""
        if self.name == DENOISER:
            if not self.has_thresholds:
                return None
            from ecg_study.training.scores.noise_score import NoiseScore

            return NoiseScore(self)
        from ecg_study.training.scores.peak_score import PeakScore

        return PeakScore(self)

    def space(self, layers: int | None = None) -> Any:
        """Return the hypermodel for Keras Tuner.

        Args:
            layers: a number of layers that the space includes even if the preset does not; ``None`` for none.

        Raises:
            SettingsError: the segment is not a multiple of a frame.
        """
        settings = self.cache.settings
        ranges = self.preset.denoiser if self.name == DENOISER else self.preset.detector
        if layers is not None:
            ranges = ranges.with_layers(layers)
        if self.name == DENOISER:
            from ecg_study.search_spaces.denoiser import DenoiserSpace

            return DenoiserSpace(
                ranges,
                settings.segment_samples,
                removes_baseline_wander=self.removes_baseline_wander,
                optimizer=self.preset.optimizer,
            )
        from ecg_study.search_spaces.detector import DetectorSpace

        return DetectorSpace(
            ranges,
            settings.segment_samples,
            window_samples=settings.window_samples,
            refractory_samples=round(REFRACTORY_PERIOD * self.cache.fs),
            optimizer=self.preset.optimizer,
        )

    def build(self, hyperparameters: dict[str, Any]) -> keras.Model:
        """Build the compiled model of these hyperparameters, with weights from the present random state.

        They may lie outside the ranges of the preset.
        """
        import keras_tuner

        values = keras_tuner.HyperParameters()
        values.values = dict(hyperparameters)
        return self.space(hyperparameters.get("layers")).build(values)

    def reference(self) -> TaskReference:
        """Return the task without its segments, to send it to a worker."""
        reference = refer_to(self.cache)
        return TaskReference(self.name, reference, self.split, self.preset, self.refit, self.keras_layers, self.shares)

    def training_stream(
        self, seed: int, *, hyperparameters: Mapping[str, Any] | None = None, segments_per_epoch: int | None = None
    ) -> SegmentStream:
        """Return the endless stream of training batches.

        Args:
            seed: seed of the order of segments and of their augmentation.
            hyperparameters: configuration, which may have those of `TrainingData`.
            segments_per_epoch: largest number of segments per epoch, drawn again each epoch; ``None`` for all.
        """
        from ecg_study.ecg_data.segments.stream import SegmentStream

        data = TrainingData.of(hyperparameters or {})
        return SegmentStream(
            self._reader(self.trained_augmentation(data), training=True),
            self._training_rows(),
            batch_size=self.batch_size,
            seed=seed,
            segments_per_epoch=segments_per_epoch,
            shares=self._shares(data) if data.database_balance or self.shares else (),
        )

    def trained_augmentation(self, data: TrainingData) -> Augmentation | None:
        """Return the augmentation of training segments with these hyperparameters; ``None`` for cached segments."""
        return None if self.augmentation is None else data.applied_to(self.augmentation)

    def _shares(self, data: TrainingData) -> list[tuple[np.ndarray, float]]:
        """Return the rows and the share of each database; the records of several have its name in front."""
        augmented, rows = self.augmentation is not None, {}
        for database in dict.fromkeys(record.rpartition("/")[0] for record in self.training_records):
            own = [record for record in self.training_records if record.rpartition("/")[0] == database]
            rows[database] = self.cache.rows(own, include_training_only=augmented)
        rows = {database: found for database, found in rows.items() if len(found)}
        shares = data.shares({database: len(found) for database, found in rows.items()}, fixed=self.shares)
        return [(rows[database], shares[database]) for database in rows]

    def validation_batches(self) -> ValidationBatches:
        """Return the batches of the validation records, in order and the same each time."""
        from ecg_study.ecg_data.segments.stream import ValidationBatches

        return ValidationBatches(
            self._reader(self.augmentation, training=False),
            self.cache.rows(self.split.validation),
            batch_size=_VALIDATION_BATCH,
        )

    @property
    def training_segments(self) -> int:
        """Segments of the training records, which are one epoch of a final training."""
        return len(self._training_rows())

    @property
    def segments_per_epoch(self) -> int:
        """Segments of one epoch of a search trial."""
        most = self.preset.segments_per_epoch
        return self.training_segments if most is None else min(self.training_segments, most)

    def batches_per_epoch(self) -> tuple[int, int]:
        """Return the batches of a search trial: for training in one epoch, and for validation."""
        validation = len(self.cache.rows(self.split.validation))
        return math.ceil(self.segments_per_epoch / self.batch_size), math.ceil(validation / _VALIDATION_BATCH)

    def training_steps(self) -> int:
        """Return the batches per epoch of a final training, which uses all segments."""
        return math.ceil(self.training_segments / self.batch_size)

    def _training_rows(self) -> np.ndarray:
        # Augmented training uses every lead of a record.
        return self.cache.rows(self.training_records, include_training_only=self.augmentation is not None)

    def _reader(self, augmentation: Augmentation | None, *, training: bool) -> ReadRows:
        from ecg_study.ecg_data.segments.batches import denoiser_reader, detector_reader

        reader = denoiser_reader if self.name == DENOISER else detector_reader
        return reader(self.cache, augmentation, training=training, refit=training and self.refit)


def augmentation_as_json(task: TrainingTask, hyperparameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the augmentation of a task for stored conditions; empty if there is none.

    Args:
        task: the model and its data.
        hyperparameters: configuration, which may change the augmentation.
    """
    augmentation = task.trained_augmentation(TrainingData.of(hyperparameters or {}))
    return {} if augmentation is None else {"augmentation": augmentation.as_mapping()}


@dataclass(frozen=True)
class TaskReference:
    """A `TrainingTask` with a reference to its segments instead of the segments."""

    name: str
    cache: CacheReference
    split: Split
    preset: Preset
    refit: bool = False
    keras_layers: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)

    def open(self, *others: Path) -> TrainingTask | None:
        """Return the task with its segments, or ``None`` if neither this machine's cache nor ``others`` has them."""
        cache = find_cache(self.cache, *others)
        if cache is None:
            return None
        return TrainingTask(self.name, cache, self.split, self.preset, self.refit, self.keras_layers, self.shares)
