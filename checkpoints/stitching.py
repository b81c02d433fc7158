"""Passing a lead of any length through a model that reads one segment at a time.

Segments lie on a fixed grid from the first sample on and overlap by a quarter, since a recurrent network knows little
at the border of a segment; there they are cross-faded. The last one is filled up with the mirrored end of the lead. So
the output does not depend on the chunks in which the lead comes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ecg_data.buffers import SampleBuffer

_OVERLAP = 4  # a quarter of a segment overlaps with the next: over a second of context at each seam

BATCH = 128
"""Segments that are passed through a model at once."""

Run = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From segments, shape ``(segments, segment)``, and the index of the first sample of each, to outputs, shape
``(outputs, segments, segment)``: a model may be asked more than once, as for both polarities."""


class Stitcher:
    """Cuts a lead into segments as it comes, and joins the outputs.

    Args:
        run: the model.
        segment: samples it reads at once.
        outputs: how many there are of each segment.
    """

    def __init__(self, run: Run, segment: int, outputs: int = 1) -> None:
        self._run = run
        self._segment = segment
        self._overlap = segment // _OVERLAP
        self._hop = segment - self._overlap
        self._signal = SampleBuffer(np.float32)
        self._next = 0  # start of the next segment
        self._tail = np.empty((outputs, 0), np.float32)  # the last segment's outputs where the next overlaps it
        self._fade = (np.arange(1, self._overlap + 1) / (self._overlap + 1)).astype(np.float32)

    def push(self, signal: np.ndarray) -> np.ndarray:
        """Take the next samples, shape ``(samples,)``; give what is final now, float32, ``(outputs, samples)``."""
        self._signal.append(signal)
        outputs = []
        while (ready := (self._signal.end - self._next - self._overlap) // self._hop) > 0:
            count = min(ready, BATCH)
            held = self._signal.view(self._next, self._next + (count - 1) * self._hop + self._segment)
            segments = np.lib.stride_tricks.sliding_window_view(held, self._segment)[:: self._hop]
            outputs.append(self._join(segments))
        return np.concatenate(outputs, axis=1) if outputs else self._tail[:, :0]

    def finish(self) -> np.ndarray:
        """The outputs that are left, at the end of the lead."""
        left = self._signal.end - self._next
        if not left:
            return self._tail[:, :0]
        rest = self._signal.view(self._next, self._signal.end)
        padded = np.pad(rest, (0, self._segment - left), mode="symmetric")
        body = self._join(padded[np.newaxis])
        return np.concatenate([body, self._tail], axis=1)[:, :left]

    def _join(self, segments: np.ndarray) -> np.ndarray:
        """Pass segments through the model and fade them in; what the next one overlaps is held back."""
        starts = self._next + self._hop * np.arange(len(segments))
        outputs = np.asarray(self._run(segments, starts), np.float32)
        self._next = int(starts[-1]) + self._hop
        self._signal.drop_before(self._next)
        body = outputs[:, :, : self._hop].copy()
        before = outputs[:, :-1, self._hop :]
        if self._tail.shape[1]:
            before = np.concatenate([self._tail[:, np.newaxis], before], axis=1)
        faded = body[:, body.shape[1] - before.shape[1] :, : self._overlap]
        faded *= self._fade
        faded += before * (1 - self._fade)
        self._tail = outputs[:, -1, self._hop :].copy()
        return body.reshape(len(body), -1)
