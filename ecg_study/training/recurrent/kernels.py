"""Compiled forward and backward passes of one direction of a GRU or LSTM layer, for a few segments at a time.

Keras computes each step of such a layer by about ten small operations and stores their results in turn. Here a block of
steps has one matrix product for its inputs, and each step one product for its state and one loop over its gates. What a
block reads and writes stays in the cache of the core.

The equations are those of ``keras.layers.GRU(reset_after=True)`` and ``keras.layers.LSTM`` with their default
activations, and the weights have their shapes and their order of gates.

All arrays are float32. ``rows`` are segments, ``steps`` are frames.
"""

# Reasons for the form of these functions: slices have no negative indices, so LLVM turns the loops over units into
# vector instructions. Without `error_model="numpy"`, a check for division by zero would prevent that. Only "contract"
# of the fast-math flags is set, so NaN and infinity stay what they are. All compiled functions are in one module: the
# kept code of a function is not renewed when one that it calls changes in another file.
# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import boolean, float32, int64, njit, types, void

STEPS_PER_BLOCK = 8
"""Steps whose inputs are multiplied at once: 8 × 32 rows of 192 gates are 200 kB, which fits the L2 cache."""

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def _compiled(*signature: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that compiles a function, and keeps its code on the disk if a folder for it can be written."""

    def compile_function(function: Callable[..., None]) -> Callable[..., None]:
        try:
            kept: Callable[..., None] = njit(*signature, **_OPTIONS, cache=True)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            kept = njit(*signature, **_OPTIONS)(function)
        return kept

    return compile_function


_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
# Rational approximation of tanh in single precision, of degree 13 by 6, as Eigen has it (MathFunctionsImpl.h). Its
# error is a few units in the last place; beyond the limit, tanh is 1 in single precision.
_LIMIT = np.float32(7.90531110763549805)
_P1, _P3, _P5, _P7, _P9, _P11, _P13 = (
    np.float32(value)
    for value in (
        4.89352455891786e-03,
        6.37261928875436e-04,
        1.48572235717979e-05,
        5.12229709037114e-08,
        -8.60467152213735e-11,
        2.00018790482477e-13,
        -2.76076847742355e-16,
    )
)
_Q0, _Q2, _Q4, _Q6 = (
    np.float32(value)
    for value in (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)
)


@njit(**_OPTIONS, inline="always")
def _tanh(x: Any) -> Any:
    # Comparisons with NaN are false, so NaN passes.
    x = _LIMIT if x > _LIMIT else x
    x = -_LIMIT if x < -_LIMIT else x
    s = x * x
    p = ((((((_P13 * s + _P11) * s + _P9) * s + _P7) * s + _P5) * s + _P3) * s + _P1) * x
    return p / (((_Q6 * s + _Q4) * s + _Q2) * s + _Q0)


@njit(**_OPTIONS, inline="always")
def _sigmoid(x: Any) -> Any:
    return _HALF * _tanh(_HALF * x) + _HALF


@_compiled()
def _gru_step(inputs: Any, state: Any, bias: Any, before: Any, after: Any, saved: Any) -> None:
    """Compute one step of a GRU.

    Args:
        inputs: products of the inputs with their bias, gates z, r, h; shape ``(rows, 3 * units)``.
        state: products of the state, likewise.
        bias: bias of the state for the third gate, ``(units,)``.
        before: state before the step, ``(rows, units)``.
        after: state after the step, written.
        saved: z, r, candidate and its product of the state, written; ``(rows, 4 * units)``.
    """
    units = before.shape[1]
    for row in range(before.shape[0]):
        xz, xr, xh = inputs[row, :units], inputs[row, units : 2 * units], inputs[row, 2 * units :]
        uz, ur, uh = state[row, :units], state[row, units : 2 * units], state[row, 2 * units :]
        sz, sr = saved[row, :units], saved[row, units : 2 * units]
        sc, su = saved[row, 2 * units : 3 * units], saved[row, 3 * units :]
        old, new = before[row], after[row]
        for j in range(units):
            z = _sigmoid(xz[j] + uz[j])
            r = _sigmoid(xr[j] + ur[j])
            u = uh[j] + bias[j]
            c = _tanh(xh[j] + r * u)
            sz[j], sr[j], sc[j], su[j] = z, r, c, u
            new[j] = c + z * (old[j] - c)


@_compiled()
def _gru_step_back(saved: Any, before: Any, gradient: Any, inputs: Any, state: Any) -> None:
    """Compute the gradients of one step of a GRU.

    Args:
        saved: what `_gru_step` saved.
        before: state before the step.
        gradient: gradient of the state after the step; replaced by its direct share in that of the state before.
        inputs: gradient of the products of the inputs, written.
        state: gradient of the products of the state, written.
    """
    units = before.shape[1]
    for row in range(before.shape[0]):
        sz, sr = saved[row, :units], saved[row, units : 2 * units]
        sc, su = saved[row, 2 * units : 3 * units], saved[row, 3 * units :]
        xz, xr, xh = inputs[row, :units], inputs[row, units : 2 * units], inputs[row, 2 * units :]
        uz, ur, uh = state[row, :units], state[row, units : 2 * units], state[row, 2 * units :]
        old, g = before[row], gradient[row]
        for j in range(units):
            z, r, c, d = sz[j], sr[j], sc[j], g[j]
            dc = d * (_ONE - z) * (_ONE - c * c)
            dz = d * (old[j] - c) * z * (_ONE - z)
            dr = dc * su[j] * r * (_ONE - r)
            xz[j], xr[j], xh[j] = dz, dr, dc
            uz[j], ur[j], uh[j] = dz, dr, dc * r
            g[j] = d * z


@_compiled()
def _lstm_step(inputs: Any, state: Any, cell_before: Any, cell_after: Any, after: Any, saved: Any) -> None:
    """Compute one step of an LSTM; gates i, f, c, o; see `_gru_step`. All four gates are saved."""
    units = after.shape[1]
    for row in range(after.shape[0]):
        xi, xf = inputs[row, :units], inputs[row, units : 2 * units]
        xc, xo = inputs[row, 2 * units : 3 * units], inputs[row, 3 * units :]
        ui, uf = state[row, :units], state[row, units : 2 * units]
        uc, uo = state[row, 2 * units : 3 * units], state[row, 3 * units :]
        si, sf = saved[row, :units], saved[row, units : 2 * units]
        sg, so = saved[row, 2 * units : 3 * units], saved[row, 3 * units :]
        old, new, h = cell_before[row], cell_after[row], after[row]
        for j in range(units):
            i = _sigmoid(xi[j] + ui[j])
            f = _sigmoid(xf[j] + uf[j])
            g = _tanh(xc[j] + uc[j])
            o = _sigmoid(xo[j] + uo[j])
            c = f * old[j] + i * g
            si[j], sf[j], sg[j], so[j] = i, f, g, o
            new[j] = c
            h[j] = o * _tanh(c)


@_compiled()
def _lstm_step_back(
    saved: Any, cell_before: Any, cell_after: Any, gradient: Any, cell_gradient: Any, inputs: Any
) -> None:
    """Compute the gradients of one step of an LSTM; see `_gru_step_back`.

    Args:
        saved: what `_lstm_step` saved.
        cell_before: cell state before the step.
        cell_after: cell state after the step.
        gradient: gradient of the output of the step.
        cell_gradient: gradient of the cell state after the step; replaced by that of the cell state before.
        inputs: gradient of the products of inputs and state, written.
    """
    units = gradient.shape[1]
    for row in range(gradient.shape[0]):
        si, sf = saved[row, :units], saved[row, units : 2 * units]
        sg, so = saved[row, 2 * units : 3 * units], saved[row, 3 * units :]
        xi, xf = inputs[row, :units], inputs[row, units : 2 * units]
        xc, xo = inputs[row, 2 * units : 3 * units], inputs[row, 3 * units :]
        old, new, gh, gc = cell_before[row], cell_after[row], gradient[row], cell_gradient[row]
        for j in range(units):
            i, f, g, o = si[j], sf[j], sg[j], so[j]
            t = _tanh(new[j])
            d = gc[j] + gh[j] * o * (_ONE - t * t)
            xi[j] = d * g * i * (_ONE - i)
            xf[j] = d * old[j] * f * (_ONE - f)
            xc[j] = d * i * (_ONE - g * g)
            xo[j] = gh[j] * t * o * (_ONE - o)
            gc[j] = d * f


@_compiled()
def _add_rows(total: Any, values: Any) -> None:
    """Add each row of ``values`` to the row of ``total`` with the same number."""
    for row in range(total.shape[0]):
        a, b = total[row], values[row]
        for j in range(a.shape[0]):
            a[j] += b[j]


@_compiled()
def _add_sum(total: Any, values: Any) -> None:
    """Add all rows of ``values`` to ``total``."""
    for row in range(values.shape[0]):
        b = values[row]
        for j in range(total.shape[0]):
            total[j] += b[j]


@dataclass(frozen=True)
class Direction:
    """Weights of one direction of a layer, in the shapes of Keras.

    Attributes:
        kernel: weights of the inputs, ``(features, gates * units)``; 3 gates of a GRU, 4 of an LSTM.
        recurrent: weights of the state, ``(units, gates * units)``.
        bias: bias of the inputs and, for a GRU, of the state: ``(1 or 2, gates * units)``.
        lstm: LSTM, or else GRU.
        reverse: start at the last step.
        column: first column of its outputs among those of all directions.
    """

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    lstm: bool
    reverse: bool
    column: int


@dataclass(frozen=True)
class Saved:
    """Values that the forward pass saves for the backward pass.

    Attributes:
        gates: gates of each step, ``(steps, rows, 4 * units)``; for a GRU, the candidate's product of the state is the
            fourth. Without a backward pass, the array has one step, which each step overwrites.
        states: initial state and that after each step, ``(steps + 1, rows, units)``; 2 with a single step of gates.
        cells: cell states of an LSTM, likewise; not used for a GRU.
    """

    gates: np.ndarray
    states: np.ndarray
    cells: np.ndarray


@dataclass(frozen=True)
class WeightGradients:
    """Gradients of the weights of one direction, in the same shapes."""

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray


def forward(x: np.ndarray, direction: Direction, *, y: np.ndarray, saved: Saved) -> None:
    """Compute the outputs of one direction for some rows.

    Args:
        x: inputs, ``(rows, steps, features)``.
        direction: weights.
        y: outputs of all directions, whose columns are written; ``(rows, steps, columns)``.
        saved: written.
    """
    d = direction
    _forward(x, d.kernel, d.recurrent, d.bias, d.lstm, d.reverse, y, d.column, saved.gates, saved.states, saved.cells)


def backward(
    x: np.ndarray, direction: Direction, *, saved: Saved, dy: np.ndarray, dx: np.ndarray, gradients: WeightGradients
) -> None:
    """Add the gradients of one direction for some rows.

    Args:
        x: inputs of `forward`.
        direction: weights.
        saved: what `forward` has written.
        dy: gradient of the outputs of all directions.
        dx: gradient of the inputs, added to.
        gradients: gradients of the weights, added to.
    """
    d, g = direction, gradients
    weights = d.kernel, d.recurrent, d.lstm, d.reverse
    _backward(x, *weights, dy, d.column, saved.gates, saved.states, saved.cells, dx, g.kernel, g.recurrent, g.bias)


_IN2, _IN3 = (types.Array(float32, n, "C", readonly=True) for n in (2, 3))
_OUT2, _OUT3 = float32[:, ::1], float32[:, :, ::1]


@_compiled(void(_IN3, _IN2, _IN2, _IN2, boolean, boolean, _OUT3, int64, _OUT3, _OUT3, _OUT3))
def _forward(
    x: Any, kernel: Any, recurrent: Any, bias: Any, lstm: Any, reverse: Any, y: Any, at: Any, gates: Any, h: Any, c: Any
) -> None:
    rows, steps, features = x.shape
    units = recurrent.shape[0]
    keeps = gates.shape[0] > 1
    block = min(STEPS_PER_BLOCK, steps)
    frames = np.empty((block * rows, features), np.float32)
    inputs = np.empty((block * rows, kernel.shape[1]), np.float32)
    state = np.empty((rows, kernel.shape[1]), np.float32)
    bias_in = bias[0].copy()
    if not lstm:
        # The bias of the state adds to that of the inputs for the first two gates.
        for j in range(2 * units):
            bias_in[j] += bias[1, j]
    bias_state = bias[-1, 2 * units : 3 * units]
    h[0] = _ZERO
    if lstm:
        c[0] = _ZERO
    for first in range(0, steps, block):
        count = min(block, steps - first)
        for k in range(count):
            t = steps - 1 - first - k if reverse else first + k
            for row in range(rows):
                frames[k * rows + row] = x[row, t]
        np.dot(frames, kernel, inputs)
        for i in range(count * rows):
            a = inputs[i]
            for j in range(a.shape[0]):
                a[j] += bias_in[j]
        for k in range(count):
            s = first + k
            t = steps - 1 - s if reverse else s
            old, new, slot = (s, s + 1, s) if keeps else (s % 2, 1 - s % 2, 0)
            np.dot(h[old], recurrent, state)
            part = inputs[k * rows : (k + 1) * rows]
            if lstm:
                _lstm_step(part, state, c[old], c[new], h[new], gates[slot])
            else:
                _gru_step(part, state, bias_state, h[old], h[new], gates[slot])
            for row in range(rows):
                y[row, t, at : at + units] = h[new, row]


@_compiled(void(_IN3, _IN2, _IN2, boolean, boolean, _IN3, int64, _IN3, _IN3, _IN3, _OUT3, _OUT2, _OUT2, _OUT2))
def _backward(
    x: Any, kernel: Any, recurrent: Any, lstm: Any, reverse: Any, dy: Any, at: Any, gates: Any, h: Any, c: Any,
    dx: Any, d_kernel: Any, d_recurrent: Any, d_bias: Any,
) -> None:  # fmt: skip
    rows, steps, features = x.shape
    units, columns = recurrent.shape
    block = min(STEPS_PER_BLOCK, steps)
    frames = np.empty((block * rows, features), np.float32)
    d_frames = np.empty((block * rows, features), np.float32)
    d_inputs = np.empty((block * rows, columns), np.float32)
    d_state = d_inputs if lstm else np.empty((block * rows, columns), np.float32)
    d_h = np.zeros((rows, units), np.float32)
    d_c = np.zeros((rows, units), np.float32)
    back = np.zeros((rows, units), np.float32)
    of_kernel = np.empty((features, columns), np.float32)
    of_recurrent = np.empty((units, columns), np.float32)
    states = h.reshape((steps + 1) * rows, units)
    # BLAS multiplies few rows by a transposed view at two thirds of its speed.
    kernel_back, recurrent_back = kernel.T.copy(), recurrent.T.copy()
    end = steps
    while end > 0:
        count = min(block, end)
        first = end - count
        for k in range(count - 1, -1, -1):
            s = first + k
            t = steps - 1 - s if reverse else s
            for row in range(rows):
                frames[k * rows + row] = x[row, t]
                g, d, b = d_h[row], dy[row, t, at : at + units], back[row]
                if lstm:
                    for j in range(units):
                        g[j] = d[j] + b[j]
                else:
                    for j in range(units):
                        g[j] += d[j] + b[j]
            part = d_state[k * rows : (k + 1) * rows]
            if lstm:
                _lstm_step_back(gates[s], c[s], c[s + 1], d_h, d_c, part)
            else:
                _gru_step_back(gates[s], h[s], d_h, d_inputs[k * rows : (k + 1) * rows], part)
            np.dot(part, recurrent_back, back)
        size = count * rows
        np.dot(frames[:size].T, d_inputs[:size], of_kernel)
        np.dot(states[first * rows : first * rows + size].T, d_state[:size], of_recurrent)
        np.dot(d_inputs[:size], kernel_back, d_frames[:size])
        _add_rows(d_kernel, of_kernel)
        _add_rows(d_recurrent, of_recurrent)
        _add_sum(d_bias[0], d_inputs[:size])
        if not lstm:
            _add_sum(d_bias[1], d_state[:size])
        for k in range(count):
            s = first + k
            t = steps - 1 - s if reverse else s
            for row in range(rows):
                a, b = dx[row, t], d_frames[k * rows + row]
                for j in range(features):
                    a[j] += b[j]
        end = first
