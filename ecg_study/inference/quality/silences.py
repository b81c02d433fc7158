"""Silences: long intervals without an R peak, and where noise could hide beats in them.

In a pause of the heart, the lead is quiet. In noise, beats may be missed. A list of R peaks shows a gap in both cases,
so parts of a silence in which every lead moves nearly as much as in a QRS complex are marked as noisy.
"""

from __future__ import annotations

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.inference.r_peaks import no_intervals

SILENCE_SECONDS = 3.0
"""Shortest interval without an R peak that is examined, the RR interval at 20 beats per minute."""

NOISY_RATIO = 0.4
"""Movement from which beats may be hidden, as a share of that of the QRS complexes before."""

_PART_SECONDS = 0.5
_LONG_SECONDS, _SHORT_SECONDS = 0.2, 0.03
"""Lengths of two moving averages, whose difference has the frequencies of QRS complexes, about 3 to 15 Hz."""

_AFTER_SECONDS, _BEFORE_SECONDS = 0.5, 0.25
"""Parts of a silence next to its R peaks that are not examined: the T wave, and the start of the QRS complex."""

_QRS_SECONDS = 0.1
_REFERENCE_BEATS = 8


class MovementMeter:
    """Range of one lead within each half second, at the frequencies of QRS complexes.

    The parts lie on a fixed grid, so the ranges do not depend on the chunks.

    Args:
        fs: Sampling rate in Hz.

    Attributes:
        ranges: Range of each part in mV, not a number for a part with an unusable sample.
        samples: Samples per part.
    """

    def __init__(self, fs: float) -> None:
        self.ranges = SampleBuffer(np.float32)
        self.samples = round(_PART_SECONDS * fs)
        self._long, self._short = (max(1, round(seconds * fs / 2)) for seconds in (_LONG_SECONDS, _SHORT_SECONDS))
        self._signal = SampleBuffer(np.float64, -self._long - 1)
        self._usable = SampleBuffer(np.bool_)

    def push(self, signal: np.ndarray, usable: np.ndarray) -> None:
        """Take the next samples in mV, and whether each can be used, both of shape ``(samples,)``."""
        if not len(signal):
            return
        if self._signal.end < 0:
            self._signal.append(np.full(self._long + 1, signal[0], np.float64))
        self._signal.append(signal)
        self._usable.append(usable)
        self._measure()

    def finish(self) -> None:
        """End the lead. An incomplete last part is not measured."""
        if self._usable.end:
            last = self._signal.view(self._signal.end - 1, self._signal.end)
            self._signal.append(np.repeat(last, self._long))
            self._measure()

    def _measure(self) -> None:
        first = self.ranges.end
        count = min((self._signal.end - self._long) // self.samples, self._usable.end // self.samples) - first
        if count <= 0:
            return
        begin, end = first * self.samples, (first + count) * self.samples
        held = self._signal.view(begin - self._long - 1, end + self._long)
        parts = np.lib.stride_tricks.sliding_window_view(held, self.samples + 2 * self._long + 1)[:: self.samples]
        sums = np.cumsum(parts, axis=1)
        moved = _average(sums, self._short, around=self._long) - _average(sums, self._long, around=self._long)
        usable = self._usable.view(begin, end).reshape(count, self.samples).all(axis=1)
        self.ranges.append(np.where(usable, np.ptp(moved, axis=1), np.nan))
        self._signal.drop_before(end - self._long - 1)
        self._usable.drop_before(end)


def _average(sums: np.ndarray, half: int, *, around: int) -> np.ndarray:
    """Return moving averages of ``2 * half + 1`` samples, of cumulative sums with ``around`` samples on each side."""
    samples = sums.shape[1] - 2 * around - 1
    first = around - half
    return np.asarray((sums[:, first + 2 * half + 1 :][:, :samples] - sums[:, first:][:, :samples]) / (2 * half + 1))


class SilenceCheck:
    """Finds the parts of silences in which beats may be hidden, in R peaks that arrive in chunks.

    A silence is noisy where no lead is quiet. A lead is quiet where it moves by less than `NOISY_RATIO` of the QRS
    complexes of the eight beats before the silence, or after it if there are none before. Without any R peak, nothing
    shows that the leads are an ECG, and the whole of it is noisy.

    Args:
        fs: Sampling rate in Hz.
        n_leads: Number of leads.

    Attributes:
        decided: Index of the sample before which every interval has been returned.
    """

    def __init__(self, fs: float, *, n_leads: int) -> None:
        self._meters = [MovementMeter(fs) for _ in range(n_leads)]
        self._part = self._meters[0].samples
        self._silence = round(SILENCE_SECONDS * fs)
        self._after, self._before = round(_AFTER_SECONDS * fs), round(_BEFORE_SECONDS * fs)
        self._qrs = round(_QRS_SECONDS * fs)
        self._peaks = np.empty(0, np.int64)  # the last ones before `decided`, and those after it
        self.decided = 0

    def measure(self, lead: int, *, signal: np.ndarray, usable: np.ndarray) -> None:
        """Take the next samples of a lead in mV, and whether each can be used, both of shape ``(samples,)``."""
        self._meters[lead].push(signal, usable)

    def push(self, r_peaks: np.ndarray) -> np.ndarray:
        """Take the next R peaks, which lie in samples that have been measured, and return what is final now.

        Returns:
            Noisy intervals, int64, shape ``(intervals, 2)``: first sample, and the sample after the last.
        """
        self._peaks = np.concatenate([self._peaks, r_peaks])
        if not len(self._peaks):
            return no_intervals()
        if not self.decided and self._peaks[0] >= self._silence:  # the beats after it are the reference
            known = self._peaks[:_REFERENCE_BEATS]
            if len(known) < _REFERENCE_BEATS or self._parts_of(known).max() >= self._measured():
                return no_intervals()
        return self._decide(int(self._peaks[-1]))

    def finish(self, end: int) -> np.ndarray:
        """Return the remaining noisy intervals of a signal of ``end`` samples; see `push`."""
        for meter in self._meters:
            meter.finish()
        if len(self._peaks):
            return self._decide(end)
        self.decided = end
        return np.array([[0, end]], np.int64) if end >= self._silence else no_intervals()

    def _decide(self, until: int) -> np.ndarray:
        """Return the noisy intervals between ``decided`` and ``until``."""
        inside = self._peaks[self._peaks >= self.decided]
        borders = np.unique(np.concatenate([[self.decided], inside, [until]]))
        found = [
            self._noisy(int(borders[number]), int(borders[number + 1]))
            for number in np.flatnonzero(np.diff(borders) >= self._silence)
        ]
        self.decided = until
        before = np.searchsorted(self._peaks, until, side="right")
        self._peaks = self._peaks[max(0, before - _REFERENCE_BEATS) :]
        oldest = int(self._parts_of(self._peaks[:1]).min())
        for meter in self._meters:
            meter.ranges.drop_before(oldest)
        return np.concatenate([no_intervals(), *found])

    def _noisy(self, start: int, end: int) -> np.ndarray:
        """Return the noisy intervals of one silence, at whose ends are R peaks or the ends of the signal."""
        before = self._peaks[self._peaks <= start][-_REFERENCE_BEATS:]
        first = -(-(start + self._after) // self._part) if len(before) else 0
        is_last = end > self._peaks[-1]
        last = self._measured() if is_last else (end - self._before) // self._part
        if last <= first:
            return no_intervals()
        beats = before if len(before) else self._peaks[:_REFERENCE_BEATS]
        loud, quiet = np.zeros(last - first, bool), np.zeros(last - first, bool)
        for meter in self._meters:
            moved = meter.ranges.view(first, last)
            limit = NOISY_RATIO * self._reference(meter, beats)
            loud |= moved >= limit  # not a number is neither
            quiet |= moved < limit
        noisy = loud & ~quiet
        edges = np.flatnonzero(np.diff(np.concatenate([[False], noisy, [False]]).astype(np.int8)))
        intervals = np.asarray((first + edges.reshape(-1, 2)) * self._part, np.int64)
        if is_last and noisy[-1]:
            intervals[-1, 1] = end  # with the incomplete last part
        return intervals

    def _reference(self, meter: MovementMeter, beats: np.ndarray) -> float:
        """Return the median range of the parts with QRS complexes; not a number if none of them can be used."""
        parts = np.minimum(self._parts_of(beats), self._measured() - 1) - meter.ranges.start
        held = meter.ranges.view(meter.ranges.start, meter.ranges.end)
        of_beats = held[parts].max(axis=1)
        of_beats = of_beats[np.isfinite(of_beats)]
        return float(np.median(of_beats)) if len(of_beats) else np.nan

    def _parts_of(self, beats: np.ndarray) -> np.ndarray:
        """Return the first and the last part that each QRS complex lies in, shape ``(beats, 2)``."""
        return np.asarray(np.stack([np.maximum(beats - self._qrs, 0), beats + self._qrs], axis=1) // self._part)

    def _measured(self) -> int:
        """Return the number of parts that are measured in all leads."""
        return min(meter.ranges.end for meter in self._meters)


def join_intervals(intervals: np.ndarray) -> np.ndarray:
    """Return the union of intervals of samples, int64, shape ``(intervals, 2)``, in order."""
    joined: list[list[int]] = []
    for start, end in sorted(intervals.tolist()):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return np.array(joined, np.int64).reshape(-1, 2)
