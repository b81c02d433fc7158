"""Passing a lead of any length through a model that reads one segment at a time.

Segments lie on a fixed grid from the first sample on and overlap by a quarter, since a recurrent network knows little
at the border of a segment; there they are cross-faded. The last one is filled up with the mirrored end of the lead. So
the output does not depend on the chunks in which the lead comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.resampling import Resampler
from ecg_study.inference.signal_quality import GapFiller

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


Prepare = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""From segments in mV to what the model is shown, and which samples are artifacts (``None``: none are)."""


@dataclass(frozen=True)
class Rates:
    """How the samples of a lead and those of a model lie to each other.

    Attributes:
        fs: of the lead, in Hz.
        up, down: sample ``n`` of the model lies at sample ``n * down / up`` of the lead.
    """

    fs: float
    up: int
    down: int

    def to_lead(self, samples: np.ndarray) -> np.ndarray:
        """Nearest samples of the lead, int64."""
        return (2 * samples * self.down + self.up) // (2 * self.up)


class LeadStream:
    """Fills, resamples, cuts and stitches one lead.

    Args:
        run: the model, on segments.
        segment: samples it reads at once.
        rates: of lead and model.
        prepare: makes segments ready for the model.
        turned: whether the model is shown the lead upside down as well, as a second output.

    Attributes:
        signal: the lead less its offset, filled, as far as it is needed still.
        usable: whether each sample of it can be used.
        filler: what filled it.
        lookahead: samples of the lead that must be known beyond one before the model's output there is final.
    """

    def __init__(
        self,
        run: Callable[[np.ndarray], np.ndarray],
        segment: int,
        rates: Rates,
        prepare: Prepare,
        turned: bool = False,
    ) -> None:
        self.filler = GapFiller(rates.fs)
        self.signal = SampleBuffer(np.float32)
        self.usable = SampleBuffer(np.bool_)
        self._rates = rates
        self._resampler = Resampler(rates.up, rates.down)
        self._stitcher = Stitcher(self._with_artifacts(run, prepare, turned), segment, 1 + turned)
        self._artifacts: list[np.ndarray] = []
        self._made = 0
        in_lead = -(-segment * rates.down // rates.up)
        self.lookahead = self.filler.lookahead + self._resampler.lookahead + in_lead

    def push(self, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the next samples in mV, shape ``(samples,)``.

        Returns:
            The model's outputs that are final now, float32, at the model's rate, shape ``(outputs, samples)``, and
            whether each sample can be used.
        """
        filled = self._keep(*self.filler.push(chunk))
        return self._finished(self._stitcher.push(self._resampler.push(filled)))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The output that is left, at the end of the lead."""
        filled = self._keep(*self.filler.finish())
        resampled = np.concatenate([self._resampler.push(filled), self._resampler.finish()])
        output = self._stitcher.push(resampled)
        return self._finished(np.concatenate([output, self._stitcher.finish()], axis=1))

    @property
    def judged(self) -> int:
        """Whether a sample before this one can be used is final, artifacts included."""
        return (self._made - 1) * self._rates.down // self._rates.up if self._made else 0

    def drop_before(self, sample: int) -> None:
        """Forget the lead before a sample, for good."""
        # What the model's next outputs lie on is still asked for.
        sample = min(sample, self.judged)
        self.signal.drop_before(sample)
        self.usable.drop_before(sample)

    def _keep(self, filled: np.ndarray, usable: np.ndarray) -> np.ndarray:
        self.signal.append(filled)
        self.usable.append(usable)
        return filled

    def _with_artifacts(self, run: Callable[[np.ndarray], np.ndarray], prepare: Prepare, turned: bool) -> Run:
        def prepared(segments: np.ndarray, starts: np.ndarray) -> np.ndarray:
            ready, artifacts = prepare(segments)
            if artifacts is not None:
                rows, columns = np.nonzero(artifacts)
                self._artifacts.append(np.unique(starts[rows] + columns))
            return np.stack([run(ready), run(-ready)]) if turned else run(ready)[np.newaxis]

        return prepared

    def _finished(self, output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, end = self._made, self._made + output.shape[1]
        self._made = end
        if first == end:
            return output, np.empty(0, np.bool_)
        # A sample between two of the lead can be used where both can.
        at = np.arange(first, end) * self._rates.down
        below, above = at // self._rates.up, -(-at // self._rates.up)
        held = self.usable.view(int(below[0]), int(above[-1]) + 1)
        usable = held[below - below[0]] & held[above - below[0]]
        if self._artifacts:
            artifacts = np.unique(np.concatenate(self._artifacts))
            now = artifacts[(artifacts >= first) & (artifacts < end)]
            usable[now - first] = False
            self._spoil(now)
            later = artifacts[artifacts >= end]
            self._artifacts = [later] if len(later) else []
        return output, usable

    def _spoil(self, artifacts: np.ndarray) -> None:
        """Samples of the lead around artifacts, which are in samples of the model, cannot be used either."""
        up, down = self._rates.up, self._rates.down
        for begin, end in zip(
            (artifacts * down // up).tolist(), (-(-(artifacts + 1) * down // up)).tolist(), strict=True
        ):
            self.usable.view(begin, min(end, self.usable.end))[:] = False
