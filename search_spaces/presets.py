"""Presets: how wide the spaces are, and how long Hyperband explores them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ecg_study.ecg_data.segments.augmentation import Augmentation

FORWARD, BOTH = "forward", "both"
"""Directions of a recurrent layer: past to future alone, or both, the outputs joined."""

PLATEAU, COSINE = "plateau", "cosine"


@dataclass(frozen=True)
class HyperparameterRanges:
    """The values each hyperparameter may take.

    Attributes:
        layers: numbers of recurrent layers.
        units: units of a layer, of each direction.
        dropout: shares of outputs dropped while training.
        frame: samples read in one step; each must divide the segment.
        direction: `FORWARD`, `BOTH`.
        learning_rate: lowest and highest, drawn on a logarithmic scale.
        residual: denoiser alone: whether the network gives a correction to its input.
        dense_units: detector alone: units of a dense layer before the output, 0 for none.
        filters: of a convolution before the recurrent layers, 0 for none.
    """

    layers: tuple[int, ...]
    units: tuple[int, ...]
    dropout: tuple[float, ...]
    frame: tuple[int, ...]
    direction: tuple[str, ...]
    learning_rate: tuple[float, float]
    residual: tuple[bool, ...] = (False, True)
    dense_units: tuple[int, ...] = (0,)
    filters: tuple[int, ...] = (0,)

    def check_segment(self, segment: int) -> None:
        """Raise ValueError where a frame does not divide the segment."""
        wrong = [frame for frame in self.frame if segment % frame]
        if wrong:
            raise ValueError(
                f"--segment: {segment} samples is no multiple of the frame of {wrong[0]} samples that the preset "
                f"searches; choose a multiple of {max(self.frame)}"
            )


@dataclass(frozen=True)
class Preset:
    """One size of study.

    Attributes:
        name: what ``--preset`` takes.
        summary: one line for the help.
        max_epochs: the most epochs a trial trains (Hyperband's R).
        factor: of how many trials one is promoted (Hyperband's η).
        iterations: how many times Hyperband runs.
        batch_size: segments a batch.
        segments_per_epoch: at most so many segments an epoch of the search, drawn anew each epoch; ``None`` for all.
        final_epochs: the most epochs of the final training.
        seeds: how many times the final training is run, each from other weights and in another order.
        patience: epochs without a better validation loss after which a final training on a plateau schedule ends.
        denoiser: bounds of the denoiser's space.
        detector: bounds of the detector's space.
        denoiser_augmentation: how the denoiser's segments are varied; ``None`` trains on them as they are cached.
        detector_augmentation: likewise.
        schedule: of the final training's learning rate: `PLATEAU` halves it when the validation loss stands still;
            `COSINE` rises over the first epoch and falls to 0 along half a cosine (Loshchilov and Hutter, ICLR 2017).
        refit: whether the models handed over are trained on training and validation records together, as many epochs
            as there are, when all choices have been made; thresholds come from one that was not.
    """

    name: str
    summary: str
    max_epochs: int
    factor: int
    iterations: int
    batch_size: int
    segments_per_epoch: int | None
    final_epochs: int
    seeds: int
    patience: int
    denoiser: HyperparameterRanges
    detector: HyperparameterRanges
    denoiser_augmentation: Augmentation | None = None
    detector_augmentation: Augmentation | None = None
    schedule: str = PLATEAU
    refit: bool = False

    @property
    def augmented(self) -> bool:
        """Whether a model is trained on augmented segments, for which real noise is needed."""
        return self.denoiser_augmentation is not None or self.detector_augmentation is not None


# What the two models' spaces have in common.
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


# What the searches of `standard` taught: two layers and more learn most, and both directions matter. Three layers of 64
# would have more weights than a bundle may have.
_BOTH_WAYS = HyperparameterRanges(
    layers=(2,),
    units=(48, 64),
    dropout=(0.0, 0.1),
    frame=(8, 16),
    direction=(BOTH,),
    learning_rate=(2e-3, 8e-3),
)


# Noise of any level up to twice the usual 0.05 mV: a model of one level leaves what is louder. Not stretched:
# interpolation smooths the noise that segments were recorded with, which a denoiser is to keep.
_WHITE = Augmentation(
    noise_probability=0.0, gaussian_sigma_range_mv=(0.0, 0.1), hum_probability=0.0, time_stretch_probability=0.0
)

_ROBUST = Preset(
    name="robust",
    summary="10 trials a model of networks that read both ways, trained on all leads under real noise; how the bundles "
    "that come with the project were made: three hours on the real records",
    max_epochs=6,
    factor=3,
    iterations=1,
    batch_size=64,
    segments_per_epoch=3072,
    # Both still learn after twelve; what that gains and loses is in docs/bundles.md.
    final_epochs=24,
    seeds=3,
    patience=10,
    denoiser=_BOTH_WAYS,
    # The search ranks by windows, and preferred 2 x 48 with frames of 16; by R peaks as recorded, 2 x 64 with frames of
    # 8 did better on validation people, and was fixed by hand (docs/bundles.md).
    detector=replace(_BOTH_WAYS, units=(64,), dropout=(0.0, 0.1, 0.2), frame=(8,), dense_units=(0, 32)),
    denoiser_augmentation=Augmentation(removes_baseline_wander=True),
    # The noise stress test compares noise with the QRS complex, which is larger than the signal as a whole. Noise is
    # left as it is: docs/bundles.md has what varying it gave either model on validation records.
    detector_augmentation=Augmentation(snr_range_db=(-12.0, 18.0), transform_noise=False, pause_probability=0.1),
    schedule=COSINE,
    refit=True,
)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="quick",
            summary="10 trials a model of small networks, on part of the segments: minutes",
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
            summary="70 trials a model, up to 27 epochs each: an hour or two on the real records",
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
            summary="211 trials a model, up to 81 epochs each, down to the plain per-sample network: days",
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
            name="white",
            summary="the same with fresh Gaussian noise alone, of up to 0.1 mV, for a denoiser that keeps the baseline",
            final_epochs=8,
            denoiser_augmentation=_WHITE,
            detector_augmentation=_WHITE,
        ),
    )
}
