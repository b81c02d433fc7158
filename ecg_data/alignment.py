"""Alignment of the marks of a record to its R peaks.

The marks of some databases lie off the R peak, by an offset that depends on who or what set them. Such an offset would
be learned by a detector, and looks like an error of one that was trained on other marks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BAND = (5.0, 30.0)
"""Band in Hz in which R peaks are looked for: the main frequencies of the QRS complex."""

_REACH = 0.12
"""Seconds around a mark in which the QRS complex is looked for. P and T waves are farther from the R peak."""

_BEAT_REACH = 0.05  # seconds around the moved mark of a beat in which its R peak is looked for

CLEARLY_LARGER = 1.0
"""Ratio of an upward and a downward wave from which the larger one is the R peak: always. With a higher ratio, the wave
that is nearer to the marks of the record is preferred, and a single beat keeps the polarity of its record.

Band and ratio are those that best restored marks of MIT-BIH records for training and validation after a shift
(``python -m benchmarks.quality.alignment``)."""


@dataclass(frozen=True)
class AlignedMarks:
    """Marks of one record after alignment.

    Attributes:
        r_peaks: strictly increasing sample indices, int64.
        offset_s: seconds that the marks lay after the R peaks, the median over beats.
    """

    r_peaks: np.ndarray
    offset_s: float


def align_marks(
    signal: np.ndarray,
    r_peaks: np.ndarray,
    *,
    fs: float,
    band: tuple[float, float] = BAND,
    clearly_larger: float = CLEARLY_LARGER,
) -> AlignedMarks:
    """Move the marks of a record to the extrema of its QRS complexes.

    All marks are moved by the median of their offsets, then each to the extremum within 50 ms of it. So a beat with
    noise moves like the others, and then by 50 ms at most.

    Args:
        signal: one lead in mV, shape ``(samples,)``.
        r_peaks: strictly increasing sample indices of the marks, shape ``(beats,)``.
        fs: sampling rate in Hz.
        band: band in Hz in which R peaks are looked for.
        clearly_larger: ratio of two waves from which the larger one is the R peak.
    """
    if not len(r_peaks):
        return AlignedMarks(r_peaks, 0.0)
    filtered = _filtered(signal, band, fs)
    polarity, offset = _polarity_and_offset(filtered, r_peaks, round(_REACH * fs), clearly_larger)
    moved = np.clip(r_peaks + offset, 0, len(signal) - 1)
    moved = moved + _extrema(
        filtered, moved, reach=round(_BEAT_REACH * fs), polarity=polarity, clearly_larger=clearly_larger
    )
    return AlignedMarks(np.unique(np.clip(moved, 0, len(signal) - 1)), -offset / fs)


def _filtered(signal: np.ndarray, band: tuple[float, float], fs: float) -> np.ndarray:
    from scipy.signal import butter, sosfiltfilt

    sections = butter(2, band, btype="band", fs=fs, output="sos")
    return np.asarray(sosfiltfilt(sections, signal.astype(np.float64)))


def _polarity_and_offset(
    filtered: np.ndarray, r_peaks: np.ndarray, reach: int, clearly_larger: float
) -> tuple[float, int]:
    """Return 1 or -1 for upward or downward R peaks, and the median distance from the marks to them in samples.

    Of a complex with R and S waves of similar height, it is the one that is nearer to the marks.
    """
    found = []
    around = _around(filtered, r_peaks, reach)
    for polarity in (1.0, -1.0):
        heights = (polarity * around).max(axis=1)
        offset = round(float(np.median((polarity * around).argmax(axis=1)))) - reach
        found.append((float(np.median(heights)), polarity, offset))
    highest = max(height for height, _, _ in found)
    similar = [item for item in found if item[0] * clearly_larger >= highest]
    _, polarity, offset = min(similar, key=lambda item: abs(item[2]))
    return polarity, offset


def _extrema(
    filtered: np.ndarray, centers: np.ndarray, *, reach: int, polarity: float, clearly_larger: float
) -> np.ndarray:
    """Return the distance in samples from each center to the extremum around it."""
    around = polarity * _around(filtered, centers, reach)
    highest, lowest = around.argmax(axis=1), around.argmin(axis=1)
    inverted = -around.min(axis=1) > clearly_larger * around.max(axis=1)
    return np.asarray(np.where(inverted, lowest, highest) - reach)


def _around(filtered: np.ndarray, centers: np.ndarray, reach: int) -> np.ndarray:
    """Return the samples around each center, shape ``(centers, 2 * reach + 1)``; 0 outside the record."""
    padded = np.pad(filtered, reach)
    return np.asarray(padded[centers[:, None] + np.arange(2 * reach + 1)])


def tolerance_samples(tolerance_ms: float, *, fs: float) -> int:
    """Return the largest distance in samples that is within a tolerance: 37 at 250 Hz and 150 ms, since 38 are 152 ms.

    Args:
        tolerance_ms: in ms.
        fs: sampling rate in Hz.
    """
    return int(tolerance_ms * fs / 1000 + 1e-9)  # 1e-9: 50 ms at 360 Hz may be 17.999… samples
