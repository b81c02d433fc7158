"""Pauses inserted into recordings: missing beats, with or without P waves.

Sinus arrest and atrioventricular block cause seconds without a QRS complex. Few subjects of a database have them, and a
model trained without them takes any deflection in a pause for a beat. The time between the end of a T wave and the next
P wave is extended by repeating it alternately forward and backward. So the pause keeps the recorded noise and baseline
wander, and is continuous at both ends.
"""

from __future__ import annotations

import numpy as np

_QT = 0.37
"""QT interval in seconds at 60 beats/min; it grows with the root of the RR interval (Bazett, 1920)."""

_AFTER_T = 0.05  # seconds after the T wave that are not repeated

_P_BEGINS, _P_ENDS = 0.24, 0.07
"""Seconds before the R peak between which the P wave lies: a PR interval of 0.2 s, and the rise of the QRS complex."""

_SHORTEST = 0.08  # seconds of rest; a shorter rest would look like a wave when repeated
_P_TO_P = (0.5, 1.2)  # seconds between P waves of blocked beats: 50 to 120 per minute
_EDGE = 0.15  # share of a P wave over which it is faded in, and out


def add_pause(
    signal: np.ndarray, marks: np.ndarray, *, fs: float, seconds: float, p_waves: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Insert a pause into a segment of constant length; beats at one or both ends drop out.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        marks: 1 at each R peak, of the same shape.
        fs: sampling rate in Hz.
        seconds: see `extend_rest`.
        p_waves: see `extend_rest`.
        rng: random numbers for the choice of the rest and of the part of the longer segment that is kept.

    Returns:
        Signal and marks of the same shapes; the given arrays if there is no rest between two beats.
    """
    longer, moved, pause = extend_rest(signal, marks, fs=fs, seconds=seconds, p_waves=p_waves, rng=rng)
    if pause is None:
        return signal, marks
    first = int(rng.integers(0, len(longer) - len(signal) + 1))
    return longer[first : first + len(signal)], moved[first : first + len(signal)]


def extend_rest(
    signal: np.ndarray, marks: np.ndarray, *, fs: float, seconds: float, p_waves: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, tuple[int, int] | None]:
    """Extend the rest between two beats to a pause.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        marks: 1 at each R peak, of the same shape.
        fs: sampling rate in Hz.
        seconds: extension, rounded to an even multiple of the repeated interval.
        p_waves: whether P waves continue in the pause, as in atrioventricular block. They are copies of the P wave
            after the pause, at a constant rate up to it; a pause shorter than their interval has none.
        rng: random numbers for the choice of the rest and the rate of the P waves.

    Returns:
        Signal and marks, both extended by the pause, and ``(start, end)`` of the pause in samples, end excluded. If
        there is no rest between two beats, the given arrays and ``None``.
    """
    rest = _choose_rest(np.flatnonzero(marks), fs, rng)
    if rest is None:
        return signal, marks, None
    begin, end, r_peak = rest
    # Of a long rest, repeat only the end, so that one repetition forward and backward fits. Repetitions are in pairs:
    # the pause ends where it starts.
    begin = max(begin, end - max(1, round(seconds * fs / 2)))
    length = end - begin
    pause = 2 * length * max(1, round(seconds * fs / (2 * length)))
    position = (length + np.arange(pause)) % (2 * length)
    inside = begin + np.where(position < length, position, 2 * length - 1 - position)
    longer = np.concatenate([np.arange(end), inside, np.arange(end, len(signal))])
    made = signal[longer]
    if p_waves:
        _add_p_waves(made[end : end + pause], signal[:r_peak], fs, rng)
    return made, marks[longer], (end, end + pause)


def _choose_rest(r_peaks: np.ndarray, fs: float, rng: np.random.Generator) -> tuple[int, int, int] | None:
    """Choose a rest between two beats: its start, its end and the following R peak, in samples."""
    begins = r_peaks[:-1] + np.round((_QT * np.sqrt(np.diff(r_peaks) / fs) + _AFTER_T) * fs).astype(np.int64)
    ends = r_peaks[1:] - round(_P_BEGINS * fs)
    long = np.flatnonzero(ends - begins >= _SHORTEST * fs)
    if not len(long):
        return None
    chosen = int(long[rng.integers(len(long))])
    return int(begins[chosen]), int(ends[chosen]), int(r_peaks[chosen + 1])


def _add_p_waves(pause: np.ndarray, before: np.ndarray, fs: float, rng: np.random.Generator) -> None:
    """Add P waves at a constant rate to a pause, in place.

    Args:
        pause: signal in mV.
        before: signal in mV up to the R peak whose P wave is copied.
        fs: sampling rate in Hz.
        rng: random numbers for the rate.
    """
    wave = before[len(before) - round(_P_BEGINS * fs) : len(before) - round(_P_ENDS * fs)]
    # Subtract the line between its ends: the pause has its own level.
    wave = wave - np.linspace(wave[0], wave[-1], len(wave), dtype=wave.dtype)
    fade = np.minimum(1.0, np.arange(len(wave)) / (_EDGE * len(wave)))
    wave = (wave * np.minimum(fade, fade[::-1])).astype(pause.dtype)
    interval = rng.uniform(*_P_TO_P) * fs
    # The next beat has its own P wave after the pause; the last copy is one interval before it.
    for start in np.arange(len(pause) - interval, 0, -interval).astype(np.int64).tolist():
        pause[start : start + len(wave)] += wave
