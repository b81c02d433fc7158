"""Checks while a recording is read: its length, and the size of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ecg_study.errors import RecordError

_PIECE_SECONDS = 2.0
"""Duration over which a range is measured: it has at least one beat at 30 beats per minute."""

_LARGEST_ASSUMED, _LARGEST_DECLARED = 30.0, 100.0
"""Largest typical range of a lead in mV. QRS complexes at the body surface have up to 5 mV; muscle and electrode motion
artifacts add a few. Above, the numbers are µV or ADC units. The second limit is for a unit that the file or the user
names: a lead whose electrode is off may touch the rails of its amplifier."""

_SMALLEST = 0.006
"""Smallest typical range of a lead in mV. The noise of an ECG amplifier with shorted inputs has 5 to 30 µV. Below, the
numbers are V, or mV that are called µV."""

_MIN_PIECES = 5  # a shorter recording may have no beat


def checked_blocks(
    path: Path,
    labels: Sequence[str],
    *,
    declared: Sequence[bool],
    blocks: Callable[[], Iterator[np.ndarray]],
    fs: float,
    samples: int | None,
    integers_error: Callable[[int], RecordError],
) -> Callable[[], Iterator[np.ndarray]]:
    """Return ``blocks`` with checks that need all samples.

    Args:
        path: path of the file.
        labels: labels of the leads.
        declared: whether the unit of each lead is stated, not assumed to be mV.
        blocks: reads the file from the start, in mV.
        fs: sampling rate in Hz.
        samples: number of samples that the header states; ``None`` if it states none.
        integers_error: returns the error for a lead, by its position, whose unit is assumed and whose numbers are all
            integers.

    Raises:
        RecordError: at the end of the blocks, if the number of samples differs from ``samples``, if a sample is
            infinite, if an assumed unit cannot be mV, or if the numbers are too large or too small for the stated unit.
    """

    def checked() -> Iterator[np.ndarray]:
        sizes = _Sizes(len(labels), max(2, round(_PIECE_SECONDS * fs)))
        done = 0
        for block in blocks():
            sizes.add(block, declared)
            done += len(block)
            yield block
        if samples is not None and done != samples:
            raise RecordError(
                path, f"{done:,} samples were read, but its header states {samples:,}; the file is damaged"
            )
        _check_sizes(path, labels, declared, sizes, integers_error)

    return checked


class _Sizes:
    """Statistics of the samples of each lead so far.

    Args:
        leads: number of leads.
        piece: samples of one piece in which a range is measured.
    """

    def __init__(self, leads: int, piece: int) -> None:
        self.fractional = np.zeros(leads, bool)
        self.nonzero = np.zeros(leads, bool)
        self.infinite = np.zeros(leads, bool)
        self.pieces = np.zeros(leads, np.int64)
        self.ranges: list[list[np.ndarray]] = [[] for _ in range(leads)]
        self._piece = piece

    def add(self, block: np.ndarray, declared: Sequence[bool]) -> None:
        """Add a block in mV, shape ``(samples, leads)``."""
        for lead in range(block.shape[1]):
            values = block[:, lead]
            if not declared[lead] and not self.fractional[lead]:
                known = values[~np.isnan(values)]
                self.fractional[lead] = bool((known != np.rint(known)).any())
                self.nonzero[lead] |= bool(known.any())
            whole = len(values) - len(values) % self._piece or len(values)
            if np.isinf(values[whole:]).any():
                self.infinite[lead] = True
            pieces = values[:whole].reshape(-1, min(self._piece, whole)) if whole else values[:0].reshape(0, 1)
            # fmax and fmin pass over missing samples.
            high, low = np.fmax.reduce(pieces, axis=1), np.fmin.reduce(pieces, axis=1)
            self.infinite[lead] |= bool(np.isinf(high).any() or np.isinf(low).any())
            if not self.infinite[lead]:
                self.ranges[lead].append(high - low)

    def typical_ranges(self) -> np.ndarray:
        """Return the median range of each lead over pieces that are not flat, in mV; NaN if there is none."""
        typical = np.full(len(self.ranges), np.nan)
        for lead, ranges in enumerate(self.ranges):
            joined = np.concatenate(ranges) if ranges else np.empty(0)
            joined = joined[joined > 0]
            if len(joined):
                typical[lead] = np.median(joined)
                self.pieces[lead] = len(joined)
        return typical


def _check_sizes(
    path: Path,
    labels: Sequence[str],
    declared: Sequence[bool],
    sizes: _Sizes,
    integers_error: Callable[[int], RecordError],
) -> None:
    if sizes.infinite.any():
        raise RecordError(path, f"lead {labels[int(sizes.infinite.argmax())]}: some samples are infinite")
    assumed = ~np.asarray(declared, bool)
    integers = assumed & ~sizes.fractional & sizes.nonzero
    if integers.any():
        raise integers_error(int(integers.argmax()))
    typical = sizes.typical_ranges()
    small = (typical < _SMALLEST) & (sizes.pieces >= _MIN_PIECES)
    unlikely = small | (typical > np.where(assumed, _LARGEST_ASSUMED, _LARGEST_DECLARED))
    wrong = unlikely & assumed
    if not wrong.any() and unlikely[~np.isnan(typical)].all():
        wrong = unlikely
    if not wrong.any():
        return
    lead = int(wrong.argmax())
    found = f"lead {labels[lead]}: its numbers typically span {typical[lead]:.3g} mV within {_PIECE_SECONDS:g} s"
    size = "large" if typical[lead] > 1 else "small"
    if assumed[lead]:
        problem = f"{found} if their unit is mV, which is too {size} for an ECG; give units (mV, uV or V) or gain"
        raise RecordError(path, problem, parameter="units", parameters=("gain",))
    raise RecordError(path, f"{found}, which is too {size} for an ECG; the stated unit or gain must be wrong")
