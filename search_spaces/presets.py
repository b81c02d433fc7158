"""Presets: ranges of the hyperparameters and sizes of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
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
        weight_average: momentum of an exponential moving average of the weights; 0 for none. Validation decides after
            each epoch whether the weights or their average are better.
        denoiser_batch_size: segments per batch of the denoiser; ``None`` for ``batch_size``.
        hours: time of a study, from the start of its searches to its report. The speed of the machine then decides
            about ``segments_per_epoch``, ``max_epochs`` and ``final_epochs``, which are replaced (`tuning.time_plan`).
            ``None`` for a study of the size of these.
        search_share: share of that time for the searches.
        report_share: share of that time for the evaluation and the report. The final trainings have the rest.

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
    search_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    report_share: Annotated[float, Field(gt=0, lt=1)] = 0.15

    @property
    def optimizer(self) -> OptimizerSettings:
        """Settings of the optimizer."""
        return OptimizerSettings(self.weight_decay, self.weight_average)

    @property
    def augmented(self) -> bool:
        """A model is trained on augmented segments, which needs recorded noise."""
        return self.denoiser_augmentation is not None or self.detector_augmentation is not None


# Ranges that both models share.
_QUICK = HyperparameterRanges(
    layers=(1, 2),
    units=(16, 32, 48),
    dropout=(0.0, 0.1),
    frame=(8, 16),
    direction=(FORWARD, BOTH),
    learning_rate=(3e-3, 1e-2),
)

_STANDARD = HyperparameterRanges(
    layers=(1, 2, 3),
    units=(16, 32, 48, 64),
    dropout=(0.0, 0.1, 0.2, 0.3),
    frame=(8, 16),
    direction=(FORWARD, BOTH),
    learning_rate=(5e-4, 1e-2),
)

_FULL = HyperparameterRanges(
    layers=(1, 2, 3),
    units=(16, 32, 48, 64, 96, 128),
    dropout=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    frame=(1, 2, 4, 8, 16),
    direction=(FORWARD, BOTH),
    learning_rate=(1e-4, 2e-2),
)


# In the searches of `standard`, two or more layers and both directions were best. Three layers of 64 units would have
# more weights than a pretrained model may have.
_BIDIRECTIONAL = HyperparameterRanges(
    layers=(2,),
    units=(48, 64),
    dropout=(0.0, 0.1),
    frame=(8, 16),
    direction=(BOTH,),
    learning_rate=(2e-3, 8e-3),
)


# Noise of all levels up to twice the usual 0.05 mV: a model trained on one level leaves louder noise. Time is not
# stretched: interpolation would smooth the recorded noise, which the denoiser should keep.
_WHITE = Augmentation(
    noise_probability=0.0, gaussian_sigma_range_mv=(0.0, 0.1), hum_probability=0.0, time_stretch_probability=0.0
)

_ROBUST = Preset(
    name="robust",
    summary="10 trials per model of bidirectional networks, trained on all leads with recorded noise, as the "
    "pretrained models were: three hours on the MIT-BIH records",
    max_epochs=6,
    factor=3,
    iterations=1,
    batch_size=64,
    segments_per_epoch=3072,
    # Both models still improve after 12 epochs (docs/experiments.md).
    final_epochs=24,
    seeds=3,
    patience=10,
    denoiser=_BIDIRECTIONAL,
    # The search ranks by windows and preferred 2 × 48 units with frames of 16. By R peaks on validation records without
    # added noise, 2 × 64 units with frames of 8 were better, and were set by hand (docs/experiments.md).
    detector=replace(_BIDIRECTIONAL, units=(64,), dropout=(0.0, 0.1, 0.2), frame=(8,), dense_units=(0, 32)),
    denoiser_augmentation=Augmentation(removes_baseline_wander=True),
    # The noise stress test defines SNR by the QRS complex, whose amplitude exceeds that of the whole signal, hence the
    # wide range. Transforming the noise did not help the detector on validation records (docs/experiments.md).
    detector_augmentation=Augmentation(snr_range_db=(-12.0, 18.0), transform_noise=False, pause_probability=0.1),
    schedule=COSINE,
    refit=True,
)

# One configuration, for trainings of millions of segments. Every segment is new: cut, stretched and inverted at random,
# under mixtures of all recorded noise.
_ONE = HyperparameterRanges(
    layers=(2,),
    units=(64,),
    dropout=(0.0,),
    frame=(8,),
    direction=(BOTH,),
    learning_rate=(4e-3, 4e-3),
    residual=(True,),
    dense_units=(32,),
)

_LONG_AUGMENTATION = Augmentation(
    noise_probability=0.8,
    snr_range_db=(-12.0, 20.0),
    transform_noise=False,
    partial_noise_probability=0.0,
    hum_probability=0.2,
    mixed_noise=True,
    white_noise_probability=0.7,
    max_relative_white_noise=0.08,
)

_LONG = Preset(
    name="long",
    summary="one bidirectional configuration per model, for the verb train and millions of segments",
    max_epochs=1,
    factor=3,
    iterations=1,
    batch_size=512,
    segments_per_epoch=None,
    final_epochs=400,
    seeds=1,
    patience=10,
    # Chosen from short trainings (docs/experiments.md).
    denoiser=replace(_ONE, layers=(3,), units=(56,), frame=(16,), gate=(True,), loss_power=(0.25,)),
    denoiser_batch_size=128,
    detector=_ONE,
    # Higher levels than 25 dB teach the network to do nothing, and little else (docs/experiments.md): there, the
    # threshold for small removals keeps signals as they are. In a quarter of the segments, noise covers only a part.
    # Recordings hold hum and white noise themselves; a network that learns to remove these changes clean recordings.
    denoiser_augmentation=replace(
        _LONG_AUGMENTATION,
        removes_baseline_wander=True,
        noise_probability=0.9,
        snr_range_db=(-10.0, 25.0),
        transform_noise=True,
        partial_noise_probability=0.25,
        hum_probability=0.0,
        white_noise_probability=0.25,
        max_relative_white_noise=0.15,
    ),
    detector_augmentation=_LONG_AUGMENTATION,
    schedule=COSINE,
    weight_decay=1e-3,
    warmup=0.05,
)

_BUILT_IN = (
    Preset(
        name="quick",
        summary="10 trials per model of small networks on part of the segments: minutes",
        max_epochs=6,
        factor=3,
        iterations=1,
        batch_size=32,
        segments_per_epoch=1024,
        final_epochs=16,
        seeds=3,
        patience=4,
        denoiser=_QUICK,
        detector=replace(_QUICK, dense_units=(0, 32)),
    ),
    Preset(
        name="standard",
        summary="70 trials per model of up to 27 epochs: one to two hours on the MIT-BIH records",
        max_epochs=27,
        factor=3,
        iterations=1,
        batch_size=64,
        segments_per_epoch=2048,
        final_epochs=16,
        seeds=3,
        patience=4,
        denoiser=_STANDARD,
        detector=replace(_STANDARD, dense_units=(0, 32, 64)),
    ),
    Preset(
        name="full",
        summary="211 trials per model of up to 81 epochs, down to one sample per step: days",
        max_epochs=81,
        factor=3,
        iterations=1,
        batch_size=64,
        segments_per_epoch=None,
        final_epochs=120,
        seeds=3,
        patience=12,
        denoiser=_FULL,
        detector=replace(_FULL, dense_units=(0, 16, 32, 64, 128), filters=(0, 8, 16, 32)),
    ),
    _ROBUST,
    replace(
        _ROBUST,
        name="white-noise",
        summary="as robust, with Gaussian noise of up to 0.1 mV only, for a denoiser that keeps baseline wander",
        final_epochs=8,
        denoiser_augmentation=_WHITE,
        detector_augmentation=_WHITE,
    ),
    _LONG,
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _BUILT_IN})
"""The built-in presets by name."""

RENAMED_PRESETS = {"white": "white-noise"}
"""Names of built-in presets in files of version 0.1.0, and their names now. Saved searches keep the old name."""
