"""Compiled recurrent layers against their equations in float64, without Keras."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.training.recurrent.buffers import BufferPool
from ecg_study.training.recurrent.operation import RecurrentOperation


def weights_of(rng: np.random.Generator, features: int, units: int, *, lstm: bool, directions: int) -> list[np.ndarray]:
    columns = (4 if lstm else 3) * units
    bias = (columns,) if lstm else (2, columns)
    shapes = [(features, columns), (units, columns), bias] * directions
    return [(rng.standard_normal(shape) / 3).astype(np.float32) for shape in shapes]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def expected(x: np.ndarray, weights: list[np.ndarray], *, lstm: bool, reverse: bool) -> np.ndarray:
    """Return the outputs of one direction, from the equations of a GRU (reset after) or LSTM."""
    kernel, recurrent, bias = (each.astype(float) for each in weights)
    x = x.astype(float)[:, ::-1] if reverse else x.astype(float)
    units = len(recurrent)
    h = c = np.zeros((len(x), units))
    outputs = []
    for step in range(x.shape[1]):
        inputs = x[:, step] @ kernel + (bias if lstm else bias[0])
        state = h @ recurrent + (0 if lstm else bias[1])
        if lstm:
            i, f, g, o = np.split(inputs + state, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            (xz, xr, xh), (uz, ur, uh) = np.split(inputs, 3, axis=1), np.split(state, 3, axis=1)
            z = sigmoid(xz + uz)
            h = z * h + (1 - z) * np.tanh(xh + sigmoid(xr + ur) * uh)
        outputs.append(h)
    result = np.stack(outputs, axis=1)
    return result[:, ::-1] if reverse else result


@given(
    lstm=st.booleans(),
    reverse=st.sampled_from([(False,), (True,), (False, True)]),
    segments=st.sampled_from([1, 3, 16, 17, 40, 70]),
    steps=st.sampled_from([1, 2, 7, 8, 9, 20]),
    features=st.integers(1, 9),
    units=st.sampled_from([1, 3, 16, 17]),
    seed=st.integers(0, 99),
)
def test_outputs_follow_the_equations(
    lstm: bool, reverse: tuple[bool, ...], segments: int, steps: int, features: int, units: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((segments, steps, features)).astype(np.float32)
    weights = weights_of(rng, features, units, lstm=lstm, directions=len(reverse))
    wanted = [expected(x, weights[3 * n : 3 * n + 3], lstm=lstm, reverse=each) for n, each in enumerate(reverse)]
    operation = RecurrentOperation(lstm, reverse)
    outputs, _ = operation.forward(x, *weights)
    np.testing.assert_allclose(outputs, np.concatenate(wanted, axis=2), atol=2e-6)
    np.testing.assert_array_equal(operation.outputs(x, *weights), outputs)


@pytest.mark.parametrize("lstm", [False, True])
def test_gradients_are_those_of_small_changes(lstm: bool) -> None:
    """Central differences in float64 of the equations, for all inputs and some of the weights."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((18, 10, 3)).astype(np.float32)
    weights = weights_of(rng, 3, 5, lstm=lstm, directions=2)
    operation = RecurrentOperation(lstm, (False, True))
    outputs, saved = operation.forward(x, *weights)
    dy = rng.standard_normal(outputs.shape).astype(np.float32)
    gradients = operation.gradients(dy, saved, x, *weights)

    def loss(arguments: list[np.ndarray]) -> float:
        sides = [expected(arguments[0], arguments[1 + 3 * n : 4 + 3 * n], lstm=lstm, reverse=bool(n)) for n in range(2)]
        return float((np.concatenate(sides, axis=2) * dy).sum())

    arguments = [each.astype(float) for each in (x, *weights)]
    for number, gradient in enumerate(gradients):
        assert gradient.shape == arguments[number].shape
        for place in rng.integers(0, gradient.size, 20):
            values = []
            for change in (1e-5, -1e-5):
                changed = [each.copy() for each in arguments]
                changed[number].flat[place] += change
                values.append(loss(changed))
            assert gradient.flat[place] == pytest.approx((values[0] - values[1]) / 2e-5, abs=2e-5, rel=2e-5)


@pytest.mark.parametrize("lstm", [False, True])
def test_results_are_the_same_for_any_number_of_threads(lstm: bool) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((70, 12, 4)).astype(np.float32)
    weights = weights_of(rng, 4, 8, lstm=lstm, directions=2)
    results = []
    for threads in (1, 2, 3):
        operation = RecurrentOperation(lstm, (False, True), threads)
        outputs, saved = operation.forward(x, *weights)
        results.append([outputs, *operation.gradients(np.cos(outputs), saved, x, *weights)])
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("lstm", [False, True])
def test_a_value_that_is_not_finite_is_not_hidden(lstm: bool) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((20, 6, 2)).astype(np.float32)
    x[4, 2, 1] = np.nan
    outputs = RecurrentOperation(lstm, (False,)).outputs(x, *weights_of(rng, 2, 4, lstm=lstm, directions=1))
    assert np.isnan(outputs[4, 2:]).all()
    assert np.isfinite(np.delete(outputs, 4, axis=0)).all() and np.isfinite(outputs[4, :2]).all()


def test_large_inputs_saturate_the_gates() -> None:
    x = np.full((1, 3, 1), 1e30, np.float32)
    weights = [np.ones((1, 4), np.float32), np.ones((1, 4), np.float32), np.zeros(4, np.float32)]
    outputs = RecurrentOperation(True, (False,)).outputs(x, *weights)
    np.testing.assert_allclose(outputs[0, :, 0], np.tanh([1, 2, 3]), rtol=1e-6)


def test_memory_is_used_again_only_when_no_view_of_it_is_left() -> None:
    pool = BufferPool()
    array = pool.take((4, 5))
    array[:] = 7
    view = array[1:3].T
    address = array.ctypes.data
    del array
    gc.collect()
    other = pool.take((20,))
    assert other.ctypes.data != address
    other[:] = 0
    assert (view == 7).all()
    del view
    gc.collect()
    assert pool.take((20,)).ctypes.data == address


def test_arrays_of_the_pool_are_aligned() -> None:
    pool = BufferPool()
    arrays = [pool.take((count,)) for count in range(1, 40)]
    assert {array.ctypes.data % 64 for array in arrays} == {0}
