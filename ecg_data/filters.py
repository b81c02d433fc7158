"""Zero-phase filters and removal of baseline wander."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer

WANDER_EDGE = 0.5
"""Edge of the high-pass filter that removes baseline wander, in Hz.

Classical filters have an edge of 0.67 Hz (Kligfield et al. 2007). This one is lower, so that none of them is compared
with its own output."""

_WANDER_ORDER = 2

_REACH_SECONDS = 4.0
"""Length of the part of the backward filter's impulse response that a stream uses. What follows is below 0.02 %."""

_BLOCK_SECONDS = 2.0
"""Shortest length of the blocks that a stream filters at once, a power of two of samples. They lie on a fixed grid, so
the output does not depend on the chunks."""

_MOST_SAMPLES = 2**16
"""Samples of the blocks in memory at once; one block at least."""

_ORDER = 4


def remove_baseline_wander(signal: np.ndarray, fs: float) -> np.ndarray:
    """Remove baseline wander by a Butterworth high-pass of order 2 at 0.5 Hz, run forward and backward; float64.

    Args:
        signal: mV, shape ``(…, samples)``.
        fs: sampling rate in Hz.
    """
    from scipy.signal import sosfiltfilt

    sections = _wander_sections(fs)
    padding = min(_padding(sections), signal.shape[-1] - 1)
    return np.asarray(sosfiltfilt(sections, signal.astype(np.float64), axis=-1, padlen=padding))


def _wander_sections(fs: float) -> np.ndarray:
    from scipy.signal import butter

    return np.asarray(butter(_WANDER_ORDER, WANDER_EDGE, btype="high", fs=fs, output="sos"))


def _padding(sections: np.ndarray) -> int:
    """Return the samples by which ``sosfiltfilt`` continues a signal at each end."""
    return 3 * (2 * len(sections) + 1)


class WanderRemover:
    """`remove_baseline_wander` for one lead that arrives in chunks.

    The forward filter runs as it is. The backward filter is replaced by the first four seconds of its impulse response.
    The concatenated output differs from that of `remove_baseline_wander` by less than 0.1 % (−60 dB) of the wander, at
    the ends of the lead too, and does not depend on the chunks.

    Args:
        fs: sampling rate in Hz.

    Attributes:
        lookahead: number of samples after a sample that must be known before its output is final.
    """

    def __init__(self, fs: float) -> None:
        from scipy.fft import next_fast_len, rfft
        from scipy.signal import sosfilt, sosfilt_zi

        self._fs, self._sections = fs, _wander_sections(fs)
        self._padding = _padding(self._sections)
        self._settled = sosfilt_zi(self._sections)
        self._state: Any = None
        reach = round(_REACH_SECONDS * fs)
        self._block = 1 << (round(_BLOCK_SECONDS * fs) - 1).bit_length()
        self._size = next_fast_len(self._block + reach, real=True)
        impulse = np.zeros(reach)
        impulse[0] = 1.0
        self._backward = np.conj(rfft(sosfilt(self._sections, impulse), self._size))
        self._reach = reach
        self._begun = np.empty(0)  # a lead that is still too short to be continued at its start
        self._last = np.empty(0)  # last samples of the lead, to continue it at its end
        self._forward = SampleBuffer(np.float64)
        self._made = 0
        self.lookahead = reach + self._block

    def push(self, signal: np.ndarray) -> np.ndarray:
        """Take the next samples, shape ``(samples,)``, and return the output that is final now, float64."""
        signal = np.asarray(signal, np.float64)
        if self._state is None:
            signal = self._begun = np.concatenate([self._begun, signal])
            if len(signal) <= self._padding:
                return np.empty(0)
            before = 2 * signal[0] - signal[self._padding : 0 : -1]
            self._state = self._settled * before[0]
            self._run_forward(before)
        self._last = np.concatenate([self._last, signal])[-self._padding - 1 :]
        self._forward.append(self._run_forward(signal))
        return self._run_backward((self._forward.end - self._reach) // self._block * self._block)

    def finish(self) -> np.ndarray:
        """Return the remaining output at the end of the lead."""
        if self._state is None:
            return remove_baseline_wander(self._begun, self._fs) if len(self._begun) else self._begun
        end = self._forward.end
        self._forward.append(self._run_forward(2 * self._last[-1] - self._last[-2::-1]))
        level = self._forward.view(self._forward.end - 1, self._forward.end)
        self._forward.append(np.repeat(level, self._block + self._reach))
        made = self._run_backward(-(-end // self._block) * self._block)
        return made[: len(made) - (self._made - end)]

    def _run_forward(self, signal: np.ndarray) -> np.ndarray:
        from scipy.signal import sosfilt

        if not len(signal):
            return signal
        filtered, self._state = sosfilt(self._sections, signal, zi=self._state)
        return np.asarray(filtered)

    def _run_backward(self, until: int) -> np.ndarray:
        """Return the output up to ``until``, excluded, a multiple of the block."""
        from scipy.fft import irfft, rfft

        made = [np.empty(0)]
        most = max(1, _MOST_SAMPLES // self._block)
        for start in range(self._made, until, most * self._block):
            count = min(most, (until - start) // self._block)
            held = self._forward.view(start, start + count * self._block + self._reach - 1)
            blocks = np.lib.stride_tricks.sliding_window_view(held, self._block + self._reach - 1)[:: self._block]
            filtered = irfft(rfft(blocks, self._size) * self._backward, self._size)
            made.append(filtered[:, : self._block].reshape(-1))
        self._made = max(self._made, until)
        self._forward.drop_before(self._made)
        return np.concatenate(made)


def filter_zero_phase(
    signal: np.ndarray, edges: float | tuple[float, float], *, kind: Literal["low", "high", "band"], fs: float
) -> np.ndarray:
    """Apply a Butterworth filter of order 4 forward and backward, so that no wave is shifted; float64.

    Args:
        signal: mV, shape ``(…, samples)``.
        edges: edge frequency in Hz, or two for a band.
        kind: frequencies that pass.
        fs: sampling rate in Hz.
    """
    from scipy.signal import butter, sosfiltfilt

    sections = butter(_ORDER, edges, btype=kind, fs=fs, output="sos")
    return np.asarray(sosfiltfilt(sections, signal.astype(np.float64), axis=-1))
