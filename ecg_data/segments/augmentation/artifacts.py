"""Artifacts of electrodes, cables and converters: spikes, saturation, decaying jumps, slow waves, strong hum.

Recorded noise of one device does not show them. Dry electrodes and long-term recorders do: spikes of 30 mV, stretches
at the end of the converter's range, and waves that are ten times higher than the ECG.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MAINS_HZ = (50.0, 60.0)
"""Frequencies of the mains in Europe and in America."""

_SPIKES = 8  # at most in a segment
_SPIKE_SAMPLES = 4  # at most; a wider one looks like a QRS complex
_SPIKE_HEIGHTS = (2.0, 100.0)  # standard deviations of the ECG: 100 are 30 mV on a typical lead
_SATURATED_SECONDS = (0.2, 3.0)
_RAILS = (1.5, 6.0)  # standard deviations from the median to the end of the converter's range
_CLIPPED = 0.5  # share of saturated segments that are clipped at both ends instead of a stretch that lies at one
_JUMPS = 3  # at most
_JUMP_SECONDS = (0.05, 2.0)  # time constant of the decay: that of the high-pass filters of recorders
_WAVES = 3  # at most
_WAVE_HZ = (0.1, 1.5)
_HIGHEST = 12.0  # standard deviations, of jumps and slow waves
_HUM_HEIGHTS = (0.3, 3.0)  # standard deviations
_HARMONICS = 3


@dataclass(frozen=True)
class _Segments:
    """Segments that get the same kind of artifact, in place; the scale has shape ``(segments, 1)``."""

    signal: np.ndarray
    marks: np.ndarray
    scale: np.ndarray
    fs: float

    @property
    def at(self) -> np.ndarray:
        """Number of each sample."""
        return np.arange(self.signal.shape[1], dtype=np.float32)


def add_artifacts(
    signal: np.ndarray, marks: np.ndarray, *, scale: np.ndarray, fs: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return segments with one kind of artifact each, and their marks.

    A saturated interval has nothing to detect, so its marks are removed.

    Args:
        signal: segments in mV, float32 of shape ``(segments, samples)``.
        marks: 1 at each R peak, of the same shape.
        scale: standard deviation of the ECG of each segment in mV, shape ``(segments,)``.
        fs: sampling rate in Hz.
        rng: random numbers.
    """
    signal, marks = signal.copy(), marks.copy()
    kinds = rng.integers(0, len(_KINDS), len(signal))
    for number, kind in enumerate(_KINDS):
        rows = np.flatnonzero(kinds == number)
        if len(rows):
            chosen = _Segments(signal[rows], marks[rows], scale[rows, np.newaxis].astype(np.float32), fs)
            kind(chosen, rng)
            signal[rows], marks[rows] = chosen.signal, chosen.marks
    return signal, marks


def _spikes(segments: _Segments, rng: np.random.Generator) -> None:
    count, samples = segments.signal.shape
    shape = (count, _SPIKES)
    heights = _logarithmic(_SPIKE_HEIGHTS, shape, rng) * segments.scale * _signs(shape, rng)
    heights[:, 1:] *= rng.random((count, _SPIKES - 1)) < 0.4  # at least one, three to four on average
    starts = rng.integers(0, samples - _SPIKE_SAMPLES, shape)
    widths = rng.integers(1, _SPIKE_SAMPLES + 1, shape)
    rows = np.broadcast_to(np.arange(count)[:, np.newaxis], shape)
    for sample in range(_SPIKE_SAMPLES):
        np.add.at(segments.signal, (rows, starts + sample), heights * (sample < widths))


def _saturation(segments: _Segments, rng: np.random.Generator) -> None:
    count, samples = segments.signal.shape
    middle, rail = np.median(segments.signal, axis=1, keepdims=True), rng.uniform(*_RAILS, (count, 1)) * segments.scale
    low, high = (middle - rail).astype(np.float32), (middle + rail).astype(np.float32)
    clipped = np.asarray(rng.random(count) < _CLIPPED)
    segments.signal[clipped] = np.clip(segments.signal[clipped], low[clipped], high[clipped])
    length = rng.uniform(*_SATURATED_SECONDS, (count, 1)) * segments.fs
    start = rng.uniform(0, np.maximum(1, samples - length))
    end = np.where(np.reshape(clipped, (count, 1)), start, start + length)
    inside = np.logical_and(segments.at >= start, segments.at < end)
    rails = np.where(rng.random((count, 1)) < 0.5, low, high)
    segments.signal[inside] = np.broadcast_to(rails, inside.shape)[inside]
    segments.marks[inside] = 0


def _jumps(segments: _Segments, rng: np.random.Generator) -> None:
    count, samples = segments.signal.shape
    at = segments.at
    for number in range(_JUMPS):
        heights = rng.uniform(2.0, _HIGHEST, (count, 1)) * segments.scale * _signs((count, 1), rng)
        if number:
            heights *= rng.random((count, 1)) < 0.5
        after = at - rng.uniform(0, samples, (count, 1)).astype(np.float32)
        decay = (_logarithmic(_JUMP_SECONDS, (count, 1), rng) * segments.fs).astype(np.float32)
        segments.signal[:] += np.where(
            after >= 0, heights.astype(np.float32) * np.exp(-np.maximum(after, 0) / decay), 0
        )


def _slow_waves(segments: _Segments, rng: np.random.Generator) -> None:
    count, at = len(segments.signal), segments.at / segments.fs
    for _ in range(_WAVES):
        heights = rng.uniform(0, _HIGHEST / _WAVES, (count, 1)) * segments.scale
        segments.signal[:] += _wave(at, heights, rng.uniform(*_WAVE_HZ, (count, 1)), rng)


def _hum(segments: _Segments, rng: np.random.Generator) -> None:
    count, at = len(segments.signal), segments.at / segments.fs
    mains = rng.choice(MAINS_HZ, (count, 1))
    heights = _logarithmic(_HUM_HEIGHTS, (count, 1), rng) * segments.scale
    for harmonic in range(1, _HARMONICS + 1):
        if harmonic * max(MAINS_HZ) < segments.fs / 2:
            segments.signal[:] += _wave(at, heights, harmonic * mains, rng)
        heights = heights * rng.uniform(0, 0.5, (count, 1))


_KINDS: tuple[Callable[[_Segments, np.random.Generator], None], ...] = (
    _spikes,
    _saturation,
    _jumps,
    _slow_waves,
    _hum,
)


def _wave(at: np.ndarray, heights: np.ndarray, frequency: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return sine waves with random phases, float32 of shape ``(segments, samples)``."""
    phase = rng.uniform(0, 2 * np.pi, frequency.shape)
    turns = (2 * np.pi * frequency).astype(np.float32) * at + phase.astype(np.float32)
    return np.asarray(heights.astype(np.float32) * np.sin(turns))


def _logarithmic(limits: tuple[float, float], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw numbers whose logarithm is uniform."""
    return np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]), shape))


def _signs(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(shape) < 0.5, -1.0, 1.0)
