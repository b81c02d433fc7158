"""From one sampling rate to another, in chunks of any size, always with the same result."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.readers.recording import Record

_MOST = 1000
"""Largest numerator and denominator of the ratio of rates. A rate that fits none is taken for the nearest that does;
positions are mapped back by the same ratio, so that nothing drifts, however long the recording."""

_HALF_LENGTH = 10
"""Zero crossings of the filter on either side, as in ``scipy.signal.resample_poly``."""

_KAISER_BETA = 5.0  # likewise: some 50 dB of stop band


def rate_ratio(fs: float, wanted: float) -> tuple[int, int]:
    """``(up, down)``, so that ``fs * up / down`` is ``wanted`` or as near as makes no difference.

    Args:
        fs: sampling rate in Hz.
        wanted: sampling rate to come to, in Hz.
    """
    ratio = (Fraction(wanted).limit_denominator(10**6) / Fraction(fs).limit_denominator(10**6)).limit_denominator(_MOST)
    return ratio.numerator, ratio.denominator


def resample(signal: np.ndarray, fs: float, wanted: float) -> np.ndarray:
    """A signal at another sampling rate, float32.

    Args:
        signal: shape ``(samples, leads)``.
        fs: its sampling rate in Hz.
        wanted: sampling rate to come to, in Hz.
    """
    columns = []
    for lead in signal.T:
        resampler = Resampler(*rate_ratio(fs, wanted))
        columns.append(np.concatenate([resampler.push(lead), resampler.finish()]))
    return np.column_stack(columns)


def resample_record(record: Record, fs: float) -> Record:
    """A record at another sampling rate, its annotations with it.

    Args:
        record: at its own rate.
        fs: sampling rate to come to, in Hz.
    """
    up, down = rate_ratio(record.fs, fs)
    signal = resample(record.signal, record.fs, fs)

    def mapped(samples: np.ndarray) -> np.ndarray:
        return np.asarray(np.minimum((2 * samples * up + down) // (2 * down), len(signal) - 1))

    excluded_intervals = tuple(
        (int(start), int(end)) for start, end in mapped(np.array(record.excluded_intervals, np.int64).reshape(-1, 2))
    )
    return replace(
        record, fs=fs, signal=signal, r_peaks=np.unique(mapped(record.r_peaks)), excluded_intervals=excluded_intervals
    )


class Resampler:
    """Resamples a lead by a zero-phase polyphase filter; the lead is continued by its first and last sample.

    Sample ``n`` of the output lies at sample ``n * down / up`` of the input.

    Args:
        up, down: see `rate_ratio`.

    Attributes:
        lookahead: input samples beyond a position that are needed for its output.
    """

    def __init__(self, up: int, down: int) -> None:
        self.up, self.down = up, down
        self._copies = up == down
        if self._copies:
            self.lookahead = 0
            return
        from scipy.signal import firwin

        self._half = _HALF_LENGTH * max(up, down)
        taps = up * firwin(2 * self._half + 1, 1 / max(up, down), window=("kaiser", _KAISER_BETA))
        # Zeros in front, so that the middle of the filter falls on a sample of the output.
        missing = -self._half % down
        self._taps = np.concatenate([np.zeros(missing), taps]).astype(np.float32)
        self._delay = (self._half + missing) // down
        self.lookahead = -(-self._half // up) + 1
        self._before = -(-self.lookahead // down) * down
        self._input = SampleBuffer(np.float32, -self._before)
        self._made = 0

    def push(self, signal: np.ndarray) -> np.ndarray:
        """Take the next samples, shape ``(samples,)``; give the output that is certain now, float32."""
        if self._copies or not len(signal):
            return np.asarray(signal, np.float32)
        if self._input.end == -self._before:
            self._input.append(np.full(self._before, signal[0]))
        self._input.append(signal)
        return self._make(max(self._made, ((self._input.end - 1) * self.up - self._half) // self.down + 1))

    def finish(self, total: int | None = None) -> np.ndarray:
        """The output that is left, at the end of the lead.

        Args:
            total: samples of the whole output (default: as many as lie within the input).
        """
        if self._copies or self._input.end <= 0:
            return np.empty(0, np.float32)
        if total is None:
            total = (self._input.end - 1) * self.up // self.down + 1
        needed = ((total - 1) * self.down + self._half) // self.up + 1
        last = self._input.view(self._input.end - 1, self._input.end)
        self._input.append(np.repeat(last, max(0, needed - self._input.end)))
        return self._make(total)

    def _make(self, until: int) -> np.ndarray:
        """The output up to before ``until``."""
        from scipy.signal import upfirdn

        if until <= self._made:
            return np.empty(0, np.float32)
        start = self._needed_from(self._made)
        end = ((until - 1) * self.down + self._half) // self.up + 1
        made = upfirdn(self._taps, self._input.view(start, end), self.up, self.down)
        shift = self._delay - start * self.up // self.down
        output = made[self._made + shift : until + shift]
        self._made = until
        self._input.drop_before(self._needed_from(until))
        return np.asarray(output, np.float32)

    def _needed_from(self, output: int) -> int:
        """First input sample for an output sample: a multiple of ``down``, where input and output fall together."""
        first = output * self.down // self.up - self.lookahead
        return max(-self._before, first // self.down * self.down)
