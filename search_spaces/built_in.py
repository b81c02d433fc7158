"""Built-in presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from ecg_study.ecg_data.segments.augmentation.settings import Augmentation
from ecg_study.search_spaces.presets import BOTH, COSINE, FORWARD, HyperparameterRanges, Preset
from ecg_study.search_spaces.training_data import CLEAN

# Ranges that both models share.
_QUICK = HyperparameterRanges(
    layers=(1, 2),
    units=(16, 32, 48),
    dropout=(0.0, 0.1),
    frame=(8, 16),
    direction=(FORWARD, BOTH),
    learning_rate=(3e-3, 1e-2),
)

# Three layers of 64 units of a denoiser would have more weights than a pretrained model may have.
_SEARCHED = HyperparameterRanges(
    layers=(1, 2, 3),
    units=(32, 48, 56),
    dropout=(0.0, 0.1),
    frame=(8, 16),
    direction=(BOTH,),
    learning_rate=(1e-3, 8e-3),
    residual=(True,),
)

_SEARCHED_DENOISER = replace(_SEARCHED, gate=(False, True), loss_power=(0.1, 0.25, 0.5))

_SEARCHED_DETECTOR = replace(_SEARCHED, units=(32, 48, 64), dropout=(0.0, 0.1, 0.2), dense_units=(0, 32))

# It contains the ranges above, so that the best of a smaller study fits.
_WIDE = HyperparameterRanges(
    layers=(1, 2, 3),
    units=(16, 32, 48, 56, 64, 96, 128),
    dropout=(0.0, 0.1, 0.2, 0.3),
    frame=(4, 8, 16),
    direction=(FORWARD, BOTH),
    learning_rate=(5e-4, 2e-2),
    residual=(False, True),
)


# In the searches of 0.1.0, two or more layers and both directions were best.
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

# Higher levels than 25 dB teach the network to do nothing, and little else (docs/experiments.md): there, the
# threshold for small removals keeps signals as they are. In a quarter of the segments, noise covers only a part.
# Recordings hold hum and white noise themselves; a network that learns to remove these changes clean recordings.
_DENOISER_AUGMENTATION = replace(
    _LONG_AUGMENTATION,
    removes_baseline_wander=True,
    noise_probability=0.9,
    snr_range_db=(-10.0, 25.0),
    transform_noise=True,
    partial_noise_probability=0.25,
    hum_probability=0.0,
    white_noise_probability=0.25,
    max_relative_white_noise=0.15,
)

# A detector that never saw a pause finds beats in asystole. Slow waves of ten QRS amplitudes hide most beats, unless a
# moving average is subtracted (docs/experiments.md).
_DETECTOR_AUGMENTATION = replace(_LONG_AUGMENTATION, pause_probability=0.1, baseline_window_s=0.4)

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
    denoiser_augmentation=_DENOISER_AUGMENTATION,
    detector_augmentation=_DETECTOR_AUGMENTATION,
    schedule=COSINE,
    weight_decay=1e-3,
    warmup=0.05,
)

PRETRAINED = Preset(
    name="pretrained",
    summary="how `gru-detector` and `lstm-denoiser-white` were trained",
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
"""The preset `robust` of version 0.1.0, with which pretrained models were made."""

_STANDARD = Preset(
    name="standard",
    summary="one hour: 27 configurations of each model, trained on all leads with recorded noise",
    max_epochs=9,
    factor=3,
    # The scores of the first rungs rank configurations well (docs/experiments.md), so many short trials find more than
    # a bracket of few long ones.
    iterations=3,
    brackets=1,
    batch_size=64,
    segments_per_epoch=2048,
    final_epochs=16,
    seeds=1,
    patience=4,
    denoiser=_SEARCHED_DENOISER,
    # Short trainings learn more from small batches (docs/experiments.md).
    denoiser_batch_size=32,
    detector=replace(_SEARCHED_DETECTOR, augmentation=(CLEAN, "ambulatory")),
    denoiser_augmentation=_DENOISER_AUGMENTATION,
    detector_augmentation=_DETECTOR_AUGMENTATION,
    schedule=COSINE,
    weight_decay=1e-3,
    warmup=0.05,
    # Scores of the average rank configurations better than those of the weights themselves (docs/experiments.md).
    weight_average=0.95,
    hours=1.0,
)

_ROBUST = replace(
    _STANDARD,
    name="robust",
    summary="four hours: 49 configurations of each model, with augmentation for other devices and the balance of "
    "several databases among the hyperparameters, and a last training on the validation records too",
    max_epochs=27,
    iterations=1,
    brackets=None,
    denoiser=replace(_SEARCHED_DENOISER, database_balance=(0.0, 0.5)),
    detector=replace(
        _SEARCHED_DETECTOR,
        augmentation=(CLEAN, "ambulatory", "wearable"),
        snr_shift_db=(-4.0, 0.0, 4.0),
        database_balance=(0.0, 0.5),
    ),
    refit=True,
    hours=4.0,
)

_THOROUGH = replace(
    _ROBUST,
    name="thorough",
    summary="a day: 143 configurations of each model, wider ranges, three seeds of the best",
    max_epochs=81,
    seeds=3,
    denoiser=replace(_WIDE, gate=(False, True), loss_power=(0.1, 0.25, 0.5), database_balance=(0.0, 0.5, 1.0)),
    detector=replace(
        _WIDE,
        dense_units=(0, 16, 32, 64),
        filters=(0, 16),
        augmentation=(CLEAN, "ambulatory", "wearable"),
        snr_shift_db=(-4.0, 0.0, 4.0),
        database_balance=(0.0, 0.5, 1.0),
    ),
    hours=24.0,
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
    _STANDARD,
    _ROBUST,
    _THOROUGH,
    replace(
        PRETRAINED,
        name="white-noise",
        summary="10 trials per model of bidirectional networks, trained with Gaussian noise of up to 0.1 mV only, for "
        "a denoiser that keeps baseline wander",
        final_epochs=8,
        denoiser_augmentation=_WHITE,
        detector_augmentation=_WHITE,
    ),
    _LONG,
)

PRESETS: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _BUILT_IN})
"""The built-in presets by name."""

RENAMED_PRESETS = {"white": "white-noise", "full": "thorough"}
"""Names of built-in presets in files of version 0.1.0, and their names now. Saved searches keep the old name."""
