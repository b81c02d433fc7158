"""Resampling, with the same result for chunks of any size."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.readers.recording import Record

_MOST = 1000
"""Largest numerator and denominator of the ratio of sampling rates. Other ratios are replaced by the nearest one.
Positions are mapped back by the same ratio, so that they stay aligned in recordings of any length."""

_HALF_LENGTH = 10
"""Zero crossings of the filter on each side, as in ``scipy.signal.resample_poly``."""

_KAISER_BETA = 5.0  # likewise: about 50 dB of stop-band attenuation


def rate_ratio(fs: float, target_fs: float) -> tuple[int, int]:
    """Return ``(up, down)`` so that ``fs * up / down`` is ``target_fs``, or close to it.

    Args:
        fs: sampling rate in Hz.
        target_fs: target sampling rate in Hz.
    """
    ratio = (Fraction(target_fs).limit_denominator(10**6) / Fraction(fs).limit_denominator(10**6)).limit_denominator(
        _MOST
    )
    return ratio.numerator, ratio.denominator


def resample(signal: np.ndarray, *, fs: float, target_fs: float) -> np.ndarray:
    """Resample a signal; float32.

    Args:
        signal: shape ``(samples, leads)``.
        fs: sampling rate in Hz.
        target_fs: target sampling rate in Hz.
    """
    columns = []
    for lead in signal.T:
        resampler = Resampler(*rate_ratio(fs, target_fs))
        columns.append(np.concatenate([resampler.push(lead), resampler.finish()]))
    return np.column_stack(columns)


def resample_record(record: Record, target_fs: float) -> Record:
    """Resample a record, with its annotations, to ``target_fs`` in Hz."""
    up, down = rate_ratio(record.fs, target_fs)
    signal = resample(record.signal, fs=record.fs, target_fs=target_fs)

    def mapped(samples: np.ndarray) -> np.ndarray:
        return np.asarray(np.minimum((2 * samples * up + down) // (2 * down), len(signal) - 1))

    excluded_intervals = tuple(
        (int(start), int(end)) for start, end in mapped(np.array(record.excluded_intervals, np.int64).reshape(-1, 2))
    )
    return replace(
        record,
        fs=target_fs,
        signal=signal,
        r_peaks=np.unique(mapped(record.r_peaks)),
        excluded_intervals=excluded_intervals,
    )


class Resampler:
    """Zero-phase polyphase filter that resamples one lead; the lead is padded with its first and last sample.

    Sample ``n`` of the output is at sample ``n * down / up`` of the input.

    Args:
        up: numerator of `rate_ratio`.
        down: denominator of `rate_ratio`.

    Attributes:
        lookahead: number of input samples after a position that its output needs.
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
        # Pad with zeros, so that the middle of the filter is at a sample of the output.
        missing = -self._half % down
        self._taps = np.concatenate([np.zeros(missing), taps]).astype(np.float32)
        self._delay = (self._half + missing) // down
        self.lookahead = -(-self._half // up) + 1
        self._before = -(-self.lookahead // down) * down
        self._input = SampleBuffer(np.float32, -self._before)
        self._made = 0

    def push(self, signal: np.ndarray) -> np.ndarray:
        """Process the next samples, shape ``(samples,)``, and return the output that is final, float32."""
        if self._copies or not len(signal):
            return np.asarray(signal, np.float32)
        if self._input.end == -self._before:
            self._input.append(np.full(self._before, signal[0]))
        self._input.append(signal)
        return self._make(max(self._made, ((self._input.end - 1) * self.up - self._half) // self.down + 1))

    def finish(self, total: int | None = None) -> np.ndarray:
        """Return the remaining output at the end of the lead.

        Args:
            total: length of the whole output (default: as many samples as lie within the input).
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
        """Return the output up to ``until``, excluded."""
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
        """Return the first input sample for an output sample: a multiple of ``down``, where both grids coincide."""
        first = output * self.down // self.up - self.lookahead
        return max(-self._before, first // self.down * self.down)
