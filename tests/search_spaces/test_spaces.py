"""The search spaces: what they build, and what their models do with offset and gain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ecg_study.errors import SettingsError, StateError
from ecg_study.evaluation.cached_models import window_scores
from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.search_spaces.denoiser import DenoiserConfig, DenoiserSpace, build_denoiser
from ecg_study.search_spaces.detector import DetectorConfig, DetectorSpace, build_detector
from ecg_study.search_spaces.layers import StackConfig
from ecg_study.search_spaces.metrics import WindowPrecisionRecallArea, relative_error_loss, relative_log_error
from ecg_study.training.weights import copy_variables, load_weights, pack_weights

STACK = StackConfig(units=(5, 4), dropout=0.1, frame=8, bidirectional=True, learning_rate=1e-3)
FULL = PRESETS["thorough"]


def _segments(count: int = 3, segment: int = 288) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, (count, segment, 1)).astype(np.float32)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("frame", "bidirectional"), [(1, False), (16, True)])
def test_denoiser_keeps_shape_and_offset(residual: bool, frame: int, bidirectional: bool) -> None:
    stack = replace(STACK, frame=frame, bidirectional=bidirectional)
    model = build_denoiser(DenoiserConfig(stack, residual), 288)
    noisy = _segments()
    cleaned = model.predict_on_batch(noisy)
    assert cleaned.shape == noisy.shape
    np.testing.assert_allclose(model.predict_on_batch(noisy + 3), cleaned + 3, atol=1e-4)


@pytest.mark.parametrize(("residual", "gate"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])  # volts, mV, µV
def test_a_denoiser_that_removes_baseline_wander_takes_any_unit(residual: bool, gate: bool, unit: float) -> None:
    keras.utils.set_random_seed(1)
    model = build_denoiser(DenoiserConfig(STACK, residual, gate), 288, removes_baseline_wander=True)
    noisy = _segments()
    cleaned = model.predict_on_batch(noisy)
    np.testing.assert_allclose(model.predict_on_batch(unit * noisy) / unit, cleaned, atol=1e-5)
    assert not model.predict_on_batch(np.zeros((1, 288, 1), np.float32)).any()


@pytest.mark.parametrize("residual", [False, True])
def test_a_closed_gate_leaves_the_input_and_an_open_one_changes_nothing(residual: bool) -> None:
    def build(gate: bool) -> keras.Model:
        return build_denoiser(DenoiserConfig(STACK, residual, gate), 288, removes_baseline_wander=True)

    plain, gated, noisy = build(False), build(True), _segments()
    shared = [layer for layer in gated.layers if layer.get_weights() and layer.name != "gate"]
    own = [layer for layer in plain.layers if layer.get_weights()]
    for layer, same in zip(shared, own, strict=True):
        layer.set_weights(same.get_weights())
    kernel, _ = gated.get_layer("gate").get_weights()
    for bias, expected in ((-1000.0, noisy), (1000.0, plain.predict_on_batch(noisy))):
        gated.get_layer("gate").set_weights([0 * kernel, np.array([bias], np.float32)])
        np.testing.assert_allclose(gated.predict_on_batch(noisy), expected, atol=1e-5)


def test_a_gate_starts_open() -> None:
    """A closed one would pass no gradient to the corrections, which are random at first and do harm."""
    model = build_denoiser(DenoiserConfig(STACK, residual=True, gate=True), 288, removes_baseline_wander=True)
    opened = keras.Model(model.input, model.get_layer("gate").output)
    assert opened.predict_on_batch(_segments()).min() > 0.9


def test_relative_log_error_by_hand() -> None:
    """Errors of 0, and of 10⁻⁵ and 1 times the power of the signal."""
    true = np.full((3, 4, 1), 2.0, np.float32)
    guessed = true + np.array([0.0, 2 * 10**-2.5, 2.0], np.float32)[:, np.newaxis, np.newaxis]
    expected = [0.0, np.log(2), np.log(1 + 1e5)]
    np.testing.assert_allclose(relative_log_error(true, guessed), expected, rtol=1e-3)
    np.testing.assert_allclose(relative_log_error(1e-3 * true, 1e-3 * guessed), expected, rtol=1e-3)


def test_the_power_of_the_loss_weighs_noisy_segments() -> None:
    """The slope by ln(1 + x) is (1 + x)ᵖ, relative to an error of -15 dB; a power of 1 is the squared error."""
    true = np.full((2, 4, 1), 2.0, np.float32)
    guessed = true + np.array([2 * 10**-1.5, 2 * 10**-0.75], np.float32)[:, np.newaxis, np.newaxis]  # -30 and -15 dB
    x = np.array([1e2, 10**3.5])
    np.testing.assert_allclose(relative_error_loss(0.0)(true, guessed), np.log1p(x), rtol=1e-3)
    np.testing.assert_allclose(relative_error_loss(1.0)(true, guessed), x / (1 + 10**3.5), rtol=1e-3)
    expected = (np.sqrt(1 + x) - 1) / 0.5 / np.sqrt(1 + 10**3.5)
    np.testing.assert_allclose(relative_error_loss(0.5)(true, guessed), expected, rtol=1e-3)
    nearly = relative_error_loss(1e-4)(true, guessed)
    np.testing.assert_allclose(nearly, np.log1p(x), rtol=2e-3)


def test_the_loss_is_a_hyperparameter_but_not_the_metric() -> None:
    model = build_denoiser(DenoiserConfig(STACK, True, loss_power=0.5), 288, removes_baseline_wander=True)
    noisy = _segments()
    clean = 0.5 * noisy
    found = model.evaluate(noisy, clean, verbose=0, return_dict=True)
    cleaned = model.predict_on_batch(noisy)
    assert found["relative_log_error"] == pytest.approx(float(np.mean(relative_log_error(clean, cleaned))), rel=1e-4)
    assert found["loss"] == pytest.approx(float(np.mean(relative_error_loss(0.5)(clean, cleaned))), rel=1e-4)


@pytest.mark.parametrize(("dense_units", "filters"), [(0, 0), (6, 0), (0, 3)])
def test_detector_gives_probabilities_whatever_gain_and_offset(dense_units: int, filters: int) -> None:
    model = build_detector(
        DetectorConfig(replace(STACK, filters=filters), dense_units), 288, window_samples=72, refractory_samples=20
    )
    signal = _segments()
    activation = model.predict_on_batch(signal)
    assert activation.shape == signal.shape
    assert activation.min() > 0
    assert activation.max() < 1
    assert activation.mean() == pytest.approx(0.03, abs=0.02)  # begins at the prior
    np.testing.assert_allclose(model.predict_on_batch(5 * signal - 2), activation, atol=1e-3)


def test_a_flat_segment_gives_finite_numbers() -> None:
    flat = np.full((1, 288, 1), 0.7, np.float32)
    assert np.isfinite(
        build_detector(DetectorConfig(STACK, 0), 288, window_samples=72, refractory_samples=20).predict_on_batch(flat)
    ).all()
    assert np.isfinite(build_denoiser(DenoiserConfig(STACK, True), 288).predict_on_batch(flat)).all()


@pytest.mark.parametrize(
    "space",
    [
        DenoiserSpace(FULL.denoiser, 2016),
        DetectorSpace(FULL.detector, 2016, window_samples=144, refractory_samples=72),
    ],
)
def test_units_of_a_layer_exist_only_where_the_layer_does(space: Any) -> None:
    hp = keras_tuner.HyperParameters()
    space.configure(hp)
    names = {item.name for item in hp.space}
    assert {"layers", "units_1", "units_2", "units_3", "dropout", "frame", "direction", "learning_rate"} <= names
    for layers in (1, 2, 3):
        chosen = keras_tuner.HyperParameters()
        chosen.values = {"layers": layers, "units_1": 16, "units_2": 32, "units_3": 48}
        config = space.configure(chosen)
        assert config.stack.units == (16, 32, 48)[:layers]
        active = {item.name for item in chosen.space if chosen.is_active(item)}
        assert ("units_2" in active, "units_3" in active) == (layers >= 2, layers >= 3)


def test_filters_are_asked_for_only_where_the_space_has_any() -> None:
    bounds = replace(FULL.detector, filters=(0, 4), layers=(1,), frame=(8,))
    values = keras_tuner.HyperParameters()
    values.Fixed("filters", 4)
    model = DetectorSpace(bounds, 288, window_samples=144, refractory_samples=72).build(values)
    reached = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert reached["filters"] == (288, 4)
    assert reached["fold"] == (288 / 8, values.get("units_1"))
    without = keras_tuner.HyperParameters()
    DetectorSpace(replace(bounds, filters=(0,)), 288, window_samples=144, refractory_samples=72).configure(without)
    assert "filters" not in without.values


def test_presets_have_at_most_three_layers_and_frames_that_divide_a_segment() -> None:
    for preset in PRESETS.values():
        assert set(preset.denoiser.layers) <= {1, 2, 3}
        preset.denoiser.check_segment(2016)
        preset.detector.check_segment(2016)


def test_a_segment_that_no_frame_divides_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"segment_samples: 1000 is not a multiple of the preset's frame \(16\); use a"
    ):
        DenoiserSpace(PRESETS["quick"].denoiser, 1000)


def test_window_area_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    activation = rng.uniform(0, 1, (20, 288, 1)).astype(np.float32) ** 4
    targets = np.zeros_like(activation)
    targets[rng.integers(0, 20, 40), rng.integers(0, 288, 40), 0] = 1
    metric = WindowPrecisionRecallArea(window=72, refractory=20)
    metric.update_state(targets[:9], activation[:9])
    metric.update_state(targets[9:], activation[9:])
    labels = targets.reshape(-1, 72).max(axis=1)
    scores = np.concatenate([window_scores(row[:, 0], 72, refractory=20) for row in activation])
    assert float(metric.result()) == pytest.approx(average_precision_score(labels, scores), abs=0.02)


def test_the_flank_of_a_peak_across_the_border_is_no_peak() -> None:
    activation = np.zeros((1, 288, 1), np.float32)
    activation[0, 70:75, 0] = [0.5, 0.7, 0.9, 0.7, 0.5]  # the peak is at 72, the first sample of the second window
    assert window_scores(activation[0, :, 0], 72, refractory=20).tolist() == pytest.approx([0, 0.9, 0, 0])
    activation[0, 200] = 0.6  # a true peak that the flank of 0.7 would outrank
    targets = np.zeros_like(activation)
    targets[0, [72, 200]] = 1
    metric = WindowPrecisionRecallArea(window=72, refractory=20)
    metric.update_state(targets, activation)
    assert float(metric.result()) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_optimizer_state_travels_with_the_weights() -> None:
    model = build_denoiser(DenoiserConfig(STACK, True), 288)
    model.fit(_segments(), _segments(), epochs=3, batch_size=1, verbose=0)
    packed = pack_weights(copy_variables(model))
    again = build_denoiser(DenoiserConfig(STACK, True), 288)
    load_weights(again, packed, trial="000-r0")
    assert int(again.optimizer.iterations) == 9
    pairs = zip(
        [*model.variables, *model.optimizer.variables], [*again.variables, *again.optimizer.variables], strict=True
    )
    for ours, theirs in pairs:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs))
    with pytest.raises(StateError, match="weights of trial 000-r0: damaged"):
        load_weights(again, packed[:-100], trial="000-r0")
    other = build_denoiser(DenoiserConfig(replace(STACK, units=(2,)), True), 288)
    with pytest.raises(StateError, match="weights of trial 000-r0: they belong to another model"):
        load_weights(other, packed, trial="000-r0")
