"""The face of a detector bundle: a signal in, R peaks out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.resampling import rate_ratio
from ecg_study.errors import InputError
from ecg_study.inference.inputs import BLOCK_SECONDS, as_leads, check_rate
from ecg_study.inference.lead_fusion import LOOKAHEAD, PLACING_SECONDS, LeadFusion, place
from ecg_study.inference.lead_stream import LeadStream, Rates
from ecg_study.inference.peak_picking import LONGEST_CHAIN, MaximaFinder, RefractoryFilter, snap_reach, snap_to_extremum
from ecg_study.inference.rhythm_filter import LONGEST_INTERVAL, SURE, RhythmFilter
from ecg_study.inference.signal_quality import scale_segments
from ecg_study.models.card import ModelCard
from ecg_study.models.runtimes import Runtime


@dataclass(frozen=True)
class RPeaks:
    """The R peaks of a signal.

    Attributes:
        samples: sample indices, int64, shape ``(peaks,)``, strictly rising, at least a refractory period apart.
        confidences: the model's probability of each, float32, shape ``(peaks,)``, from its threshold to 1.
        unusable: stretches in which no lead could be used and no peak is given, int64, shape ``(stretches, 2)``: first
            sample and the one after the last.
    """

    samples: np.ndarray
    confidences: np.ndarray
    unusable: np.ndarray

    def __len__(self) -> int:
        return len(self.samples)

    @staticmethod
    def joined(parts: Iterable[RPeaks]) -> RPeaks:
        """What a stream gave, as one."""
        parts = list(parts)
        return RPeaks(
            np.concatenate([np.empty(0, np.int64), *(part.samples for part in parts)]),
            np.concatenate([np.empty(0, np.float32), *(part.confidences for part in parts)]),
            np.concatenate([np.empty((0, 2), np.int64), *(part.unusable for part in parts)]),
        )


@dataclass(frozen=True)
class DetectorSetup:
    """What a detector's model must be used with.

    Attributes:
        fs: sampling rate in Hz that it was trained at.
        segment: samples it reads at once.
        refractory: seconds within which there is but one R peak.
        polarity: see `ModelCard`.
    """

    fs: float
    segment: int
    refractory: float
    polarity: str

    @staticmethod
    def of(card: ModelCard) -> DetectorSetup:
        """That of a card."""
        return DetectorSetup(card.fs, card.segment, card.refractory, card.polarity)


class Detector:
    """Finds the R peaks in any ECG.

    Args:
        card: of the bundle.
        engine: runs its model.
    """

    def __init__(self, card: ModelCard, engine: Runtime) -> None:
        self.card = card
        self.engine = engine

    def r_peaks(self, signal: Any, fs: float, progress: Callable[[int, int], None] | None = None) -> RPeaks:
        """The R peaks of a signal.

        Gain, offset and polarity of the leads do not matter, nor does the sampling rate: peaks are those of the signal
        as given. Missing samples (NaN), flat stretches and artifacts are passed over and named. A signal without beats
        has no peaks.

        Args:
            signal: mV, shape ``(samples,)`` or ``(samples, leads)``: array, list, or pandas. Leads are of one heart at
                one time; they are judged together.
            fs: sampling rate in Hz, from 100 to 10,000.
            progress: called with the samples done and their total.

        Raises:
            SignalError: the signal or its rate is not what they must be.
        """
        leads = as_leads(signal)
        stream = self.stream(fs, leads.shape[1])
        block = round(BLOCK_SECONDS * fs)
        found = []
        for start in range(0, len(leads), block):
            if progress is not None:
                progress(start, len(leads))
            found.append(stream.push(leads[start : start + block]))
        found.append(stream.finish())
        if progress is not None:
            progress(len(leads), len(leads))
        return RPeaks.joined(found)

    def stream(self, fs: float, leads: int = 1) -> DetectorStream:
        """A detector for a signal that comes in chunks.

        Args:
            fs: sampling rate in Hz.
            leads: how many there are.
        """
        setup = DetectorSetup.of(self.card)
        return DetectorStream(setup, self.engine, fs, leads, self.card.thresholds["r_peak"])


class DetectorStream:
    """Finds R peaks as a signal comes in; together they are those of `Detector.r_peaks`.

    Args:
        setup: what the model must be used with.
        engine: runs the model.
        fs: sampling rate in Hz.
        leads: how many there are.
        threshold: lowest activation of an R peak.
        on_activation: told of the activation of all leads together, at the model's rate, as it becomes final.

    Attributes:
        delay: a peak is given at the latest when so many samples after it have been pushed.
    """

    def __init__(
        self,
        setup: DetectorSetup,
        engine: Runtime,
        fs: float,
        leads: int,
        threshold: float,
        on_activation: Callable[[np.ndarray], None] | None = None,
    ) -> None:
        fs = check_rate(fs)
        if leads < 1:
            raise InputError(f"{leads} leads; there must be at least one")
        self._rates = Rates(fs, *rate_ratio(fs, setup.fs))
        # A model that was trained on leads as they are is asked about the lead upside down as well.
        self._turned = setup.polarity == "upright"
        self._leads = [
            LeadStream(engine.run, setup.segment, self._rates, partial(scale_segments, fs=setup.fs), self._turned)
            for _ in range(leads)
        ]
        self._fuser = LeadFusion(leads, 1 + self._turned)
        refractory = round(setup.refractory * setup.fs)
        # What is sure decides over what is not, whatever the threshold.
        self._threshold = threshold
        self._finder = MaximaFinder(min(threshold, SURE), refractory)
        longest = round(LONGEST_CHAIN * fs)
        apart = int(np.ceil(setup.refractory * fs))
        # No further than the activation is known beyond a maximum.
        self._placing = min(round(PLACING_SECONDS * setup.fs), refractory) if leads > 1 else 0
        moved = -(-self._placing * self._rates.down // self._rates.up) + (leads > 1)
        self._filter = RefractoryFilter(apart, snap_reach(fs) + moved)
        self._rhythm = RhythmFilter(fs)
        self._alone = [SampleBuffer(np.float32) for _ in range(leads)]
        self._on_activation = on_activation
        self._pushed = 0
        self._finished = False
        self._unusable_since: int | None = None
        self._judged = 0
        reach = -(-(refractory + 2 + LOOKAHEAD) * self._rates.down // self._rates.up)
        pause = round(LONGEST_INTERVAL * fs)
        self.delay = self._leads[0].lookahead + reach + longest + pause + 2 + 2 * moved

    def push(self, chunk: Any) -> RPeaks:
        """Take the next samples in mV, shape ``(samples,)`` or ``(samples, leads)``; give what is certain now.

        Raises:
            SignalError: the chunk is not what it must be, or `finish` was called before.
        """
        leads = as_leads(chunk)
        if self._finished:
            raise InputError("the stream is finished; begin another")
        if leads.shape[1] != len(self._leads):
            raise InputError(f"a chunk of {leads.shape[1]} leads for a stream of {len(self._leads)}")
        self._pushed += len(leads)
        parts = [lead.push(leads[:, column]) for column, lead in enumerate(self._leads)]
        fused = self._fuse(parts, last=False)
        unusable = self._unusable(min(lead.judged for lead in self._leads), last=False)
        return self._peaks(*self._finder.push(fused), unusable, last=False)

    def finish(self) -> RPeaks:
        """What is left, at the end of the signal."""
        if self._finished:
            raise InputError("the stream is finished; begin another")
        self._finished = True
        fused = self._fuse([lead.finish() for lead in self._leads], last=True)
        maxima, heights = self._finder.push(fused)
        late, late_heights = self._finder.finish()
        maxima, heights = np.concatenate([maxima, late]), np.concatenate([heights, late_heights])
        return self._peaks(maxima, heights, self._unusable(self._pushed, last=True), last=True)

    def _fuse(self, parts: list[tuple[np.ndarray, np.ndarray]], last: bool) -> np.ndarray:
        """The activation of all leads together that is certain now."""
        activations = np.concatenate([outputs for outputs, _ in parts])
        usable = np.concatenate([np.broadcast_to(usable, outputs.shape) for outputs, usable in parts])
        fused, alone = self._fuser.push(activations, usable)
        if last:
            more, more_alone = self._fuser.finish()
            fused, alone = np.concatenate([fused, more]), np.concatenate([alone, more_alone], axis=1)
        if len(self._leads) > 1:
            for buffer, activation in zip(self._alone, alone, strict=True):
                buffer.append(activation)
        if self._on_activation is not None:
            self._on_activation(fused)
        return fused

    def _peaks(self, maxima: np.ndarray, heights: np.ndarray, unusable: np.ndarray, last: bool) -> RPeaks:
        found = self._to_lead(maxima)
        positions = self._placed(maxima, heights)
        decided = self._finder.decided * self._rates.down // self._rates.up
        parts = [self._rhythm.push(*self._filter.push(found, heights, positions, decided), self._filter.settled)]
        if last:
            parts += [self._rhythm.push(*self._filter.finish(), self._pushed), self._rhythm.finish()]
        samples = np.concatenate([samples for samples, _ in parts])
        confidences = np.concatenate([confidences for _, confidences in parts])
        kept = confidences >= self._threshold
        # A second around the next maximum is kept: far more than a peak is moved by or judged from.
        for lead in self._leads:
            lead.drop_before(decided - round(self._rates.fs))
        for buffer in self._alone:
            buffer.drop_before(self._finder.decided - self._placing - 1)
        return RPeaks(samples[kept], confidences[kept], unusable)

    def _to_lead(self, samples: np.ndarray) -> np.ndarray:
        """Samples of the model in those of the leads."""
        return np.asarray(np.minimum(self._rates.to_lead(samples), max(0, self._pushed - 1)))

    def _placed(self, maxima: np.ndarray, heights: np.ndarray) -> np.ndarray:
        """The maxima where the first lead that shows them has them, on the extremum of that lead."""
        if len(self._leads) > 1:
            maxima, lead_of = place(maxima, heights, self._alone, self._placing)
        else:
            lead_of = np.zeros(len(maxima), np.int64)
        found = self._to_lead(maxima)
        positions = found.copy()
        for number, lead in enumerate(self._leads):
            mine = lead_of == number
            signal, usable = lead.signal, lead.usable
            held = signal.view(signal.start, signal.end)
            shifted = found[mine] - signal.start
            positions[mine] = (
                snap_to_extremum(held, usable.view(usable.start, usable.end), shifted, self._rates.fs) + signal.start
            )
        return positions

    def _unusable(self, until: int, last: bool) -> np.ndarray:
        """Stretches that have ended by ``until`` in which no lead can be used, in samples of the signal."""
        first, self._judged = self._judged, max(self._judged, until)
        usable = np.zeros(self._judged - first, bool)
        for lead in self._leads:
            usable |= lead.usable.view(first, self._judged)
        before = self._unusable_since is None
        ended = []
        for change in (first + np.flatnonzero(np.diff(np.concatenate([[before], usable])))).tolist():
            if self._unusable_since is None:
                self._unusable_since = change
            else:
                ended.append((self._unusable_since, change))
                self._unusable_since = None
        if last and self._unusable_since is not None:
            ended.append((self._unusable_since, self._judged))
        return np.array(ended, np.int64).reshape(-1, 2)
