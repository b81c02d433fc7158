"""Pauses made in a recording that has none: beats that fail to come, with P waves or without.

Sinus arrest and atrioventricular block leave seconds without a QRS complex. Few people of a database have them, and a
model that has not been shown any takes whatever moves in a pause for a beat. Time between the end of a T wave and the
next P wave is made longer by showing it forwards and backwards in turn, so that it keeps the noise and the wander that
it was recorded with and joins on at both ends.
"""

from __future__ import annotations

import numpy as np

_QT = 0.37
"""QT interval in seconds at 60 beats a minute; it grows with the root of the interval between beats (Bazett, 1920)."""

_AFTER_T = 0.05  # seconds from there on that are left alone

_P_BEGINS, _P_ENDS = 0.24, 0.07
"""Seconds before the R peak between which the P wave lies: a PR interval of 0.2 s, and the rise of the QRS complex."""

_SHORTEST = 0.08  # seconds of rest that can be made longer: what is shown to and fro is not to look like a wave
_P_TO_P = (0.5, 1.2)  # seconds between P waves of blocked beats: 50 to 120 a minute
_EDGE = 0.15  # share of a P wave over which it is faded in, and out


def add_pause(
    signal: np.ndarray, marks: np.ndarray, fs: float, seconds: float, blocked: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make one pause in a segment, in which what follows moves back, or what goes before moves forward.

    Args:
        signal: one lead in mV, shape ``(segment,)``.
        marks: 1 at each R peak, the same shape.
        fs: sampling rate in Hz.
        seconds: see `lengthen`.
        blocked: see `lengthen`.
        rng: which rest, and which part of the longer segment is kept.

    Returns:
        Signal and marks of the same shapes; those that were given where no two beats have a rest between them.
    """
    longer, moved, pause = lengthen(signal, marks, fs, seconds, blocked, rng)
    if pause is None:
        return signal, marks
    first = int(rng.integers(0, len(longer) - len(signal) + 1))
    return longer[first : first + len(signal)], moved[first : first + len(signal)]


def lengthen(
    signal: np.ndarray, marks: np.ndarray, fs: float, seconds: float, blocked: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, tuple[int, int] | None]:
    """Make the rest between two beats longer.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        marks: 1 at each R peak, the same shape.
        fs: sampling rate in Hz.
        seconds: how much longer the rest becomes, to the nearest even multiple of what is repeated.
        blocked: whether P waves go on in the pause, as in atrioventricular block: copies of the one behind it, at a
            steady rate up to that; none where the pause is shorter than their interval.
        rng: which rest, and the rate of the P waves.

    Returns:
        Signal and marks, both longer by the pause, and the sample of these at which it begins and the one after its
        last; what was given and ``None`` where no two beats have a rest between them.
    """
    rest = _choose_rest(np.flatnonzero(marks), fs, rng)
    if rest is None:
        return signal, marks, None
    begin, end, r_peak = rest
    # Of a long rest the last part, which fits in once to and fro. There and back as a whole: it ends where it began.
    begin = max(begin, end - max(1, round(seconds * fs / 2)))
    length = end - begin
    pause = 2 * length * max(1, round(seconds * fs / (2 * length)))
    to_and_fro = (length + np.arange(pause)) % (2 * length)
    inside = begin + np.where(to_and_fro < length, to_and_fro, 2 * length - 1 - to_and_fro)
    longer = np.concatenate([np.arange(end), inside, np.arange(end, len(signal))])
    made = signal[longer]
    if blocked:
        _add_p_waves(made[end : end + pause], signal[:r_peak], fs, rng)
    return made, marks[longer], (end, end + pause)


def _choose_rest(r_peaks: np.ndarray, fs: float, rng: np.random.Generator) -> tuple[int, int, int] | None:
    """Where a rest between two beats begins and ends, and the R peak behind it, in samples."""
    begins = r_peaks[:-1] + np.round((_QT * np.sqrt(np.diff(r_peaks) / fs) + _AFTER_T) * fs).astype(np.int64)
    ends = r_peaks[1:] - round(_P_BEGINS * fs)
    long = np.flatnonzero(ends - begins >= _SHORTEST * fs)
    if not len(long):
        return None
    chosen = int(rng.choice(long))
    return int(begins[chosen]), int(ends[chosen]), int(r_peaks[chosen + 1])


def _add_p_waves(pause: np.ndarray, before: np.ndarray, fs: float, rng: np.random.Generator) -> None:
    """Add P waves at a steady rate to a pause, in place.

    Args:
        pause: mV.
        before: mV, up to an R peak whose P wave is copied.
        fs: sampling rate in Hz.
        rng: how fast they follow each other.
    """
    wave = before[len(before) - round(_P_BEGINS * fs) : len(before) - round(_P_ENDS * fs)]
    # Only what stands out of the line between its ends: the pause has a level of its own.
    wave = wave - np.linspace(wave[0], wave[-1], len(wave), dtype=wave.dtype)
    fade = np.minimum(1.0, np.arange(len(wave)) / (_EDGE * len(wave)))
    wave = (wave * np.minimum(fade, fade[::-1])).astype(pause.dtype)
    interval = rng.uniform(*_P_TO_P) * fs
    # Behind the pause comes the P wave that the next beat has: the last of these is an interval before it.
    for start in np.arange(len(pause) - interval, 0, -interval).astype(np.int64).tolist():
        pause[start : start + len(wave)] += wave
