"""What a preset is: ranges of the hyperparameters and sizes of a study. `built_in` has those of the program."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.errors import SettingsError
from ecg_study.search_spaces.hyperparameters import HYPERPARAMETERS, LEARNING_RATE
from ecg_study.search_spaces.training_data import CLEAN, Strength

Direction = Literal["forward", "both"]
FORWARD: Direction = "forward"
BOTH: Direction = "both"
"""Directions of a recurrent layer: forward only, or forward and backward with both outputs joined."""

Schedule = Literal["plateau", "cosine"]
PLATEAU: Schedule = "plateau"
COSINE: Schedule = "cosine"

_AtLeast1 = Annotated[int, Field(ge=1)]
_UpTo10000 = Annotated[int, Field(ge=1, le=10_000)]
"""A count from which the schedule of a search is computed; one that is larger would fill the memory."""

_Share = Annotated[float, Field(ge=0, lt=1)]
_NotNegative = Annotated[float, Field(ge=0)]

_NotEmpty = Field(min_length=1)


def _limits(name: str) -> Any:
    """Return the limits of a hyperparameter for pydantic."""
    facts = HYPERPARAMETERS[name]
    return Field(ge=facts.minimum, le=facts.maximum, gt=facts.above, lt=facts.below)


_Layers = Annotated[int, _limits("layers")]
_Units = Annotated[int, _limits("units")]
_Dropout = Annotated[float, _limits("dropout")]
_Frame = Annotated[int, _limits("frame")]
_LearningRate = Annotated[float, _limits(LEARNING_RATE)]
_DenseUnits = Annotated[int, _limits("dense_units")]
_LossPower = Annotated[float, _limits("loss_power")]
_Filters = Annotated[int, _limits("filters")]
_Balance = Annotated[float, _limits("database_balance")]


@dataclass(frozen=True)
class HyperparameterRanges:
    """Values of each hyperparameter.

    Attributes:
        layers: numbers of recurrent layers.
        units: units per layer and direction.
        dropout: shares of outputs that are set to 0 in training.
        frame: samples per step; the segment must be a multiple of each.
        direction: `FORWARD`, `BOTH`.
        learning_rate: lowest and highest learning rate, drawn on a logarithmic scale.
        residual: denoiser only: the network computes a correction of its input.
        gate: denoiser that removes baseline wander only: the correction of each frame has a factor from 0 to 1.
        loss_power: such a denoiser only: weight of noisy segments in the loss, from 0 to 1, see
            `metrics.relative_error_loss`.
        dense_units: detector only: units of a dense layer before the output; 0 for no dense layer.
        filters: filters of a convolution before the recurrent layers; 0 for no convolution.
        augmentation: strengths of augmentation, see `training_data.STRENGTHS`; the denoiser has ``"clean"`` only.
        snr_shift_db: shifts of the range of noise levels in dB, see `training_data.TrainingData`.
        database_balance: balances of several databases, likewise.
    """

    layers: Annotated[tuple[_Layers, ...], _NotEmpty]
    units: Annotated[tuple[_Units, ...], _NotEmpty]
    dropout: Annotated[tuple[_Dropout, ...], _NotEmpty]
    frame: Annotated[tuple[_Frame, ...], _NotEmpty]
    direction: Annotated[tuple[Direction, ...], _NotEmpty]
    learning_rate: tuple[_LearningRate, _LearningRate]
    residual: Annotated[tuple[bool, ...], _NotEmpty] = (False, True)
    dense_units: Annotated[tuple[_DenseUnits, ...], _NotEmpty] = (0,)
    filters: Annotated[tuple[_Filters, ...], _NotEmpty] = (0,)
    gate: Annotated[tuple[bool, ...], _NotEmpty] = (False,)
    loss_power: Annotated[tuple[_LossPower, ...], _NotEmpty] = (0.0,)
    augmentation: Annotated[tuple[Strength, ...], _NotEmpty] = (CLEAN,)
    snr_shift_db: Annotated[tuple[float, ...], _NotEmpty] = (0.0,)
    database_balance: Annotated[tuple[_Balance, ...], _NotEmpty] = (0.0,)

    def check_segment(self, segment_samples: int) -> None:
        """Check that a segment is a multiple of every frame.

        Raises:
            SettingsError: it is not.
        """
        wrong = [frame for frame in self.frame if segment_samples % frame]
        if wrong:
            raise SettingsError(
                "segment_samples",
                f"{segment_samples} is not a multiple of the preset's frame ({wrong[0]}); use a multiple of "
                f"{math.lcm(*self.frame)}",
                value=segment_samples,
            )

    def with_layers(self, layers: int) -> HyperparameterRanges:
        """Return ranges that include this number of layers, so that a model of it has units for each layer."""
        return replace(self, layers=tuple(sorted({*self.layers, layers})))


@dataclass(frozen=True)
class OptimizerSettings:
    """Settings of the optimizer beside the learning rate.

    Attributes:
        weight_decay: decoupled weight decay of AdamW; 0 for Adam.
        weight_average: momentum of the exponential moving average of the weights, from 0 to 1; 0 for no average.

    References:
        Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
    """

    weight_decay: float = 0.0
    weight_average: float = 0.0


DEFAULT_OPTIMIZER = OptimizerSettings()
"""Adam without weight decay and without an average of the weights."""


@dataclass(frozen=True)
class Preset:
    """Size of a study.

    Attributes:
        name: stored in model cards and searches.
        summary: one line for the help.
        max_epochs: most epochs of a trial (Hyperband's R).
        factor: one of this many trials is promoted (Hyperband's η).
        iterations: runs of Hyperband.
        brackets: brackets of each run, those with the most rungs first; ``None`` for all. 1 is successive halving,
            which relies most on the first rungs.
        batch_size: segments per batch.
        segments_per_epoch: most segments per epoch of the search, drawn again each epoch; ``None`` for all.
        final_epochs: most epochs of a final training.
        seeds: final trainings per model, each with other initial weights and another order of the segments.
        patience: epochs without a lower validation loss after which a final training on a plateau schedule ends.
        denoiser: ranges of the denoiser.
        detector: ranges of the detector.
        denoiser_augmentation: augmentation of the denoiser's segments; ``None`` trains on cached segments.
        detector_augmentation: likewise for the detector.
        schedule: learning rate of a final training. `PLATEAU` halves it when the validation loss stops improving.
            `COSINE` rises over the first epoch and falls to 0 along half a cosine.
        refit: the final models are trained on training and validation records for all epochs, after all choices have
            been made. Thresholds come from a model that was not.
        weight_decay: decoupled weight decay of AdamW; 0 for Adam.
        warmup: share of a final training in which a `COSINE` schedule rises; ``None`` for the first epoch.
        weight_average: momentum of an exponential moving average of the weights; 0 for none. A trial of the search is
            scored by its average. So is a final training with a `COSINE` schedule, which keeps it; with the other one,
            validation decides whether the weights or their average are better.
        denoiser_batch_size: segments per batch of the denoiser; ``None`` for ``batch_size``.
        hours: time of a study, from the start of its searches to its report. The speed of the machine then decides
            about ``segments_per_epoch``, ``max_epochs`` and ``final_epochs``, which are replaced (`tuning.time_plan`).
            ``None`` for a study of the size of these.
        search_share: share of that time, without the expected time of the report, for the searches. The final trainings
            have the rest.

    References:
        Li et al., Hyperband: A novel bandit-based approach to hyperparameter optimization, JMLR 18(185), 2018.
        Loshchilov and Hutter, SGDR: Stochastic gradient descent with warm restarts, ICLR 2017.
    """

    name: str
    summary: str
    max_epochs: _UpTo10000
    factor: Annotated[int, Field(ge=2)]
    iterations: _UpTo10000
    batch_size: _AtLeast1
    segments_per_epoch: _AtLeast1 | None
    final_epochs: _AtLeast1
    seeds: _AtLeast1
    patience: _AtLeast1
    denoiser: HyperparameterRanges
    detector: HyperparameterRanges
    denoiser_augmentation: Augmentation | None = None
    detector_augmentation: Augmentation | None = None
    schedule: Schedule = PLATEAU
    refit: bool = False
    weight_decay: _NotNegative = 0.0
    warmup: _Share | None = None
    weight_average: _Share = 0.0
    denoiser_batch_size: _AtLeast1 | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    brackets: _AtLeast1 | None = None
    search_share: Annotated[float, Field(gt=0, lt=1)] = 0.6

    @property
    def optimizer(self) -> OptimizerSettings:
        """Settings of the optimizer."""
        return OptimizerSettings(self.weight_decay, self.weight_average)

    @property
    def augmented(self) -> bool:
        """A model is trained on augmented segments, which needs recorded noise."""
        return self.denoiser_augmentation is not None or self.detector_augmentation is not None
