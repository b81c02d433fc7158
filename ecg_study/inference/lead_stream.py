"""Stream of one lead through a model that reads one segment at a time.

Segments lie on a fixed grid from the first sample and overlap, because a recurrent network has little context at the
ends of a segment. The outputs are cross-faded where segments overlap. The last segment is padded with
the mirrored end of the lead. The output therefore does not depend on the chunks in which the lead arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.filters import WanderRemover
from ecg_study.ecg_data.resampling import Resampler
from ecg_study.inference.quality.gaps import GapFiller
from ecg_study.models.runtimes import BATCH_SEGMENTS

_OVERLAP_DIVISOR = 4  # a quarter of a segment overlaps with the next: over a second of context at each seam

SegmentFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Function from segments, shape ``(segments, segment_samples)``, and the index of the first sample of each segment to
outputs, shape ``(outputs, segments, segment_samples)``. A model with both polarities has two outputs."""


def hop_samples(segment_samples: int, *, overlap: int | None) -> int:
    """Return the samples from the start of a segment to that of the next; see `SegmentStitcher`."""
    return segment_samples - (segment_samples // _OVERLAP_DIVISOR if overlap is None else overlap)


class SegmentStitcher:
    """Segmentation of a lead that arrives in chunks, and cross-fading of the outputs.

    Args:
        run: Function that computes the outputs of segments.
        segment_samples: Samples that the model reads at once.
        outputs: Number of outputs per segment.
        overlap: Samples that neighboring segments share, at most half of a segment (default: a quarter).
    """

    def __init__(
        self, run: SegmentFunction, segment_samples: int, *, outputs: int = 1, overlap: int | None = None
    ) -> None:
        self._run = run
        self._segment = segment_samples
        self._hop = hop_samples(segment_samples, overlap=overlap)
        self._overlap = segment_samples - self._hop
        self._signal = SampleBuffer(np.float32)
        self._next = 0  # start of the next segment
        self._tail = np.empty((outputs, 0), np.float32)  # outputs of the last segment where the next overlaps it
        self._fade = (np.arange(1, self._overlap + 1) / (self._overlap + 1)).astype(np.float32)

    def push(self, signal: np.ndarray) -> np.ndarray:
        """Take the next samples, shape ``(samples,)``, and return the outputs that are final now.

        Returns:
            Outputs, float32, shape ``(outputs, samples)``.
        """
        self._signal.append(signal)
        outputs = []
        while (ready := (self._signal.end - self._next - self._overlap) // self._hop) > 0:
            count = min(ready, BATCH_SEGMENTS)
            held = self._signal.view(self._next, self._next + (count - 1) * self._hop + self._segment)
            segments = np.lib.stride_tricks.sliding_window_view(held, self._segment)[:: self._hop]
            outputs.append(self._join(segments))
        return np.concatenate(outputs, axis=1) if outputs else self._tail[:, :0]

    def finish(self) -> np.ndarray:
        """Return the remaining outputs at the end of the lead."""
        left = self._signal.end - self._next
        if not left:
            return self._tail[:, :0]
        rest = self._signal.view(self._next, self._signal.end)
        padded = np.pad(rest, (0, self._segment - left), mode="symmetric")
        body = self._join(padded[np.newaxis])
        return np.concatenate([body, self._tail], axis=1)[:, :left]

    def _join(self, segments: np.ndarray) -> np.ndarray:
        """Return the cross-faded outputs of segments up to the overlap with the next one."""
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
"""Function from segments in mV to the input of the model, and to a mask of artifacts (``None``: no artifacts)."""


@dataclass(frozen=True)
class Rates:
    """Sampling rate of a lead, and its ratio to that of the model.

    Attributes:
        fs: Sampling rate of the lead in Hz.
        up, down: Sample ``n`` of the model is at sample ``n * down / up`` of the lead.
    """

    fs: float
    up: int
    down: int

    def to_lead(self, samples: np.ndarray) -> np.ndarray:
        """Convert sample indices of the model to the nearest sample indices of the lead, int64."""
        return (2 * samples * self.down + self.up) // (2 * self.up)


class LeadStream:
    """One lead, filled, high-passed if the model wants it, resampled, segmented, run through it and stitched.

    Args:
        run: Model, as a function from segments, shape ``(segments, segment_samples)``, to outputs, shape
            ``(outputs, segments, segment_samples)``.
        segment_samples: Samples that the model reads at once.
        rates: Sampling rates of lead and model.
        prepare: Function that prepares segments for the model.
        outputs: Number of outputs of ``run``.
        both_polarities: Whether the inverted lead is a second input, with outputs of its own after the others.
        removes_wander: Whether baseline wander is removed before the model, by `WanderRemover`. This happens at the
            sampling rate of the lead, so that the filter is the same at any rate.
        keeps_input: Whether `input` is kept.
        overlap: See `SegmentStitcher`.

    Attributes:
        input: What was passed to the model and its stitching, at the rate of the model.
        signal: Filled lead without its offset, and without baseline wander if that is removed, as far as it is still
            needed.
        usable: Whether each sample of the lead can be used.
        filler: Gap filler of the lead.
        lookahead: Number of samples of the lead after a sample that must be known before its output is final.
    """

    def __init__(
        self,
        run: Callable[[np.ndarray], np.ndarray],
        *,
        segment_samples: int,
        rates: Rates,
        prepare: Prepare,
        outputs: int = 1,
        both_polarities: bool = False,
        removes_wander: bool = False,
        keeps_input: bool = False,
        overlap: int | None = None,
    ) -> None:
        self.filler = GapFiller(rates.fs)
        self.signal = SampleBuffer(np.float64 if removes_wander else np.float32)
        self.usable = SampleBuffer(np.bool_)
        self.input = SampleBuffer(np.float32)
        self._keeps_input = keeps_input
        self._rates = rates
        self._resampler = Resampler(rates.up, rates.down)
        self._highpass = WanderRemover(rates.fs) if removes_wander else None
        prepared = self._prepared(run, prepare, both_polarities)
        outputs *= 1 + both_polarities
        self._stitcher = SegmentStitcher(prepared, segment_samples, outputs=outputs, overlap=overlap)
        self._artifacts: list[np.ndarray] = []
        self._returned = 0
        before = self.filler.lookahead + (0 if self._highpass is None else self._highpass.lookahead)
        self.lookahead = before + self._resampler.lookahead + -(-segment_samples * rates.down // rates.up)

    def push(self, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the next samples in mV, shape ``(samples,)``.

        Returns:
            The outputs of the model that are final now, float32, at the rate of the model, shape
            ``(outputs, samples)``, and whether each sample can be used, shape ``(samples,)``.
        """
        filled, usable = self.filler.push(chunk)
        kept = self._keep(filled if self._highpass is None else self._highpass.push(filled), usable)
        return self._with_usable(self._stitched(self._resampler.push(kept)))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the remaining outputs at the end of the lead; see `push`."""
        filled, usable = self.filler.finish()
        if self._highpass is not None:
            filled = np.concatenate([self._highpass.push(filled), self._highpass.finish()])
        kept = self._keep(filled, usable)
        output = self._stitched(np.concatenate([self._resampler.push(kept), self._resampler.finish()]))
        return self._with_usable(np.concatenate([output, self._stitcher.finish()], axis=1))

    @property
    def checked(self) -> int:
        """Index of the first sample whose usability, including artifacts, is not final."""
        return (self._returned - 1) * self._rates.down // self._rates.up if self._returned else 0

    def drop_before(self, sample: int) -> None:
        """Discard the lead before a sample."""
        # The lead under the next outputs is still needed.
        sample = min(sample, self.checked)
        self.signal.drop_before(sample)
        self.usable.drop_before(sample)

    def _stitched(self, prepared: np.ndarray) -> np.ndarray:
        if self._keeps_input:
            self.input.append(prepared)
        return self._stitcher.push(prepared)

    def _keep(self, lead: np.ndarray, usable: np.ndarray) -> np.ndarray:
        self.signal.append(lead)
        self.usable.append(usable)
        return lead

    def _prepared(
        self, run: Callable[[np.ndarray], np.ndarray], prepare: Prepare, both_polarities: bool
    ) -> SegmentFunction:
        """Return a function that prepares segments, collects their artifacts and runs the model."""

        def run_prepared(segments: np.ndarray, starts: np.ndarray) -> np.ndarray:
            ready, artifacts = prepare(segments)
            if artifacts is not None:
                rows, columns = np.nonzero(artifacts)
                self._artifacts.append(np.unique(starts[rows] + columns))
            return np.concatenate([run(ready), run(-ready)]) if both_polarities else run(ready)

        return run_prepared

    def _with_usable(self, output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, end = self._returned, self._returned + output.shape[1]
        self._returned = end
        if first == end:
            return output, np.empty(0, np.bool_)
        # A sample of the model can be used if both neighbors in the lead can.
        at = np.arange(first, end) * self._rates.down
        below, above = at // self._rates.up, -(-at // self._rates.up)
        held = self.usable.view(int(below[0]), int(above[-1]) + 1)
        usable = held[below - below[0]] & held[above - below[0]]
        if self._artifacts:
            artifacts = np.unique(np.concatenate(self._artifacts))
            now = artifacts[(artifacts >= first) & (artifacts < end)]
            usable[now - first] = False
            self._mark_unusable(now)
            later = artifacts[artifacts >= end]
            self._artifacts = [later] if len(later) else []
        return output, usable

    def _mark_unusable(self, artifacts: np.ndarray) -> None:
        """Mark the samples of the lead around artifacts (samples of the model) as unusable."""
        up, down = self._rates.up, self._rates.down
        for begin, end in zip(
            (artifacts * down // up).tolist(), (-(-(artifacts + 1) * down // up)).tolist(), strict=True
        ):
            self.usable.view(begin, min(end, self.usable.end))[:] = False
