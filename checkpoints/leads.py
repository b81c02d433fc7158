"""One lead at any sampling rate, passed through a model in chunks of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from checkpoints.stitching import Run, Stitcher
from checkpoints.usable import GapFiller
from ecg_data.buffers import SampleBuffer
from ecg_data.resampling import Resampler

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
