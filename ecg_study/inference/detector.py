"""R-peak detector: ECG in, sample indices and confidences of the R peaks out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.resampling import rate_ratio
from ecg_study.ecg_data.scaling import scale_segments
from ecg_study.errors import InputError, ModelError
from ecg_study.inference.inputs import BLOCK_SECONDS, as_leads, check_chunk, check_lead_count, check_rate
from ecg_study.inference.lead_fusion import FUSION_LOOKAHEAD, MAX_LEAD_SHIFT_SECONDS, LeadFusion, choose_beat_index
from ecg_study.inference.lead_stream import LeadStream, Rates
from ecg_study.inference.peak_picking import (
    MAX_CHAIN_SECONDS,
    MaximaFinder,
    RefractoryFilter,
    max_snap_samples,
    snap_to_extremum,
)
from ecg_study.inference.quality.silences import SilenceCheck, join_intervals
from ecg_study.inference.r_peaks import RPeaks, no_intervals
from ecg_study.inference.rhythm_filter import FAST_PROBABILITY, MAX_RR_SECONDS, FastRhythms, RhythmFilter
from ecg_study.models.calibration import Calibration
from ecg_study.models.card import ModelCard
from ecg_study.models.runtimes import Runtime
from ecg_study.progress import Progress

SHORTEST_SECONDS = 1.0
"""Length of a signal below which no R peaks are returned: a model sees too little of a beat to know it. In cuts of half
a second from five training records, every third peak was false, with high confidences."""

_ROUNDING = 1e-4  # a sigmoid in float32 is exact to 1e-7


def _peak_probabilities(runtime: Runtime, segments: np.ndarray) -> np.ndarray:
    """Return the output of a detector for segments.

    Raises:
        ModelError: It is not a probability.
    """
    outputs = runtime.run(segments)
    lowest, highest = float(outputs.min(initial=0.0)), float(outputs.max(initial=0.0))
    # Not a number is neither.
    if not (lowest >= -_ROUNDING and highest <= 1 + _ROUNDING):
        found = f"{lowest:.4g} to {highest:.4g}"
        raise ModelError(
            f"detector: the output of the model is {found}, but a probability is 0 to 1; use another model"
        )
    return np.asarray(np.clip(outputs, 0.0, 1.0))[np.newaxis]


class Detector:
    """A model that detects R peaks in ECG of any sampling rate and length.

    Args:
        card: Card of the model.
        runtime: Runtime with the model.
    """

    def __init__(self, card: ModelCard, runtime: Runtime) -> None:
        self.card = card
        self.runtime = runtime

    def detect(self, signal: Any, *, fs: float, on_progress: Progress | None = None) -> RPeaks:
        """Detect the R peaks of a signal.

        Amplitude, offset and polarity of the leads do not matter. The sample indices refer to the signal as passed, at
        any sampling rate. Missing samples (NaN), flat intervals and artifacts are skipped and listed in the result, and
        so is a signal that is shorter than a second.

        Args:
            signal: Samples in mV, shape ``(samples,)`` or ``(samples, leads)``: array, list, or pandas. All leads must
                be of the same heart at the same time; they are combined.
            fs: Sampling rate in Hz, from 100 to 10,000.
            on_progress: Callback, called with the samples that are done and their total.

        Raises:
            InputError: The signal or the sampling rate is not valid.
            ModelError: The model cannot be run, or its output is not a probability.
        """
        leads = as_leads(signal)
        stream = self.stream(fs=fs, n_leads=leads.shape[1])
        block = round(BLOCK_SECONDS * fs)
        parts = []
        for start in range(0, len(leads), block):
            if on_progress is not None:
                on_progress("detecting R peaks", start, len(leads))
            parts.append(stream.push(leads[start : start + block]))
        parts.append(stream.finish())
        if on_progress is not None:
            on_progress("detecting R peaks", len(leads), len(leads))
        return RPeaks.concatenate(parts)

    def stream(self, *, fs: float, n_leads: int = 1) -> DetectorStream:
        """Open a stream for a signal that arrives in chunks.

        Args:
            fs: Sampling rate in Hz, from 100 to 10,000.
            n_leads: Number of leads.

        Raises:
            InputError: The sampling rate or the number of leads is not valid.
        """
        return DetectorStream(
            self.runtime,
            model_fs=self.card.fs,
            segment_samples=self.card.segment_samples,
            refractory_period=self.card.refractory_period,
            polarity=self.card.polarity,
            baseline_window_s=self.card.baseline_window_s,
            threshold=self.card.thresholds["r_peak"],
            calibration=self.card.calibration,
            fs=fs,
            n_leads=n_leads,
        )


class DetectorStream:
    """Detector for a signal that arrives in chunks.

    The concatenated results equal that of `Detector.detect`.

    Args:
        runtime: Runtime with the model.
        model_fs: Sampling rate of the model in Hz.
        segment_samples: Samples that the model reads at once.
        refractory_period: Shortest time between two R peaks in seconds.
        polarity: Polarities of the training data; see `ModelCard`.
        baseline_window_s: Length of the moving average that is subtracted from each segment; see `ModelCard`.
        threshold: Lowest peak probability of an R peak, 0 to 1.
        calibration: Confidence of an R peak by its peak probability; ``None`` returns peak probabilities.
        fs: Sampling rate of the signal in Hz.
        n_leads: Number of leads.
        on_peak_probability: Callback for the peak probability of all leads together, at the rate of the model, called
            with each part that has become final.

    Attributes:
        delay: Number of samples after an R peak that must be pushed, at most, before that peak is returned.

    Raises:
        InputError: The sampling rate or the number of leads is not valid.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        model_fs: float,
        segment_samples: int,
        refractory_period: float,
        polarity: Literal["upright", "either"],
        threshold: float,
        fs: float,
        n_leads: int = 1,
        baseline_window_s: float | None = None,
        calibration: Calibration | None = None,
        on_peak_probability: Callable[[np.ndarray], None] | None = None,
    ) -> None:
        fs = check_rate(fs)
        check_lead_count(n_leads)
        self._rates = Rates(fs, *rate_ratio(fs, model_fs))
        # A model that was trained on leads as recorded is applied to the inverted lead as well.
        both_polarities = polarity == "upright"
        prepare = partial(scale_segments, fs=model_fs, baseline_window_s=baseline_window_s)
        run = partial(_peak_probabilities, runtime)
        self._leads = [
            LeadStream(
                run,
                segment_samples=segment_samples,
                rates=self._rates,
                prepare=prepare,
                both_polarities=both_polarities,
            )
            for _ in range(n_leads)
        ]
        self._fusion = LeadFusion(n_leads, 1 + both_polarities)
        refractory = round(refractory_period * model_fs)
        # Sure peaks suppress others and define the rhythm, whatever the threshold, and so do those of a fast rhythm.
        self._threshold, self._calibration = threshold, calibration
        self._finder = MaximaFinder(threshold=min(threshold, FAST_PROBABILITY), refractory=refractory)
        self._fast_rhythms = FastRhythms(model_fs, refractory=refractory)
        # A maximum must not move further than the peak probability is known.
        self._max_shift = min(round(MAX_LEAD_SHIFT_SECONDS * model_fs), refractory) if n_leads > 1 else 0
        shift_in_lead = -(-self._max_shift * self._rates.down // self._rates.up) + (n_leads > 1)
        self._usual_period = -(-refractory * self._rates.down // self._rates.up)
        self._refractory_filter = RefractoryFilter(
            refractory=self._usual_period, max_shift=max_snap_samples(fs) + shift_in_lead
        )
        self._rhythm_filter = RhythmFilter(fs)
        self._lead_probabilities = [SampleBuffer(np.float32) for _ in range(n_leads)]
        self._on_peak_probability = on_peak_probability
        self._pushed = 0
        self._finished = False
        self._unusable_since: int | None = None
        self._checked = 0
        self._silences = SilenceCheck(fs, n_leads=n_leads)
        self._measured = [0] * n_leads  # samples of each lead that the check has seen
        self._gaps = no_intervals()  # unusable intervals after what the check has decided
        known = refractory + 2 + FUSION_LOOKAHEAD + self._fast_rhythms.lookahead
        lookahead = -(-known * self._rates.down // self._rates.up)
        waiting = round(MAX_CHAIN_SECONDS * fs) + round(MAX_RR_SECONDS * fs)
        self.delay = self._leads[0].lookahead + lookahead + waiting + 2 + 2 * shift_in_lead

    def push(self, chunk: Any) -> RPeaks:
        """Take the next samples and return the R peaks that are final now.

        Args:
            chunk: Samples in mV, shape ``(samples,)`` or ``(samples, leads)``.

        Raises:
            InputError: The chunk is not valid, or the stream has been finished.
            ModelError: The model cannot be run, or its output is not a probability.
        """
        leads = check_chunk(chunk, n_leads=len(self._leads), finished=self._finished)
        self._pushed += len(leads)
        parts = [lead.push(leads[:, column]) for column, lead in enumerate(self._leads)]
        fused = self._fuse(parts, last=False)
        self._find_gaps(min(lead.checked for lead in self._leads), last=False)
        return self._peaks(*self._finder.push(fused), last=False)

    def finish(self) -> RPeaks:
        """End the signal and return the remaining R peaks.

        Raises:
            InputError: The stream has been finished.
        """
        if self._finished:
            raise InputError("stream: already finished; open a new one")
        self._finished = True
        fused = self._fuse([lead.finish() for lead in self._leads], last=True)
        maxima, heights = self._finder.push(fused)
        late, late_heights = self._finder.finish()
        maxima, heights = np.concatenate([maxima, late]), np.concatenate([heights, late_heights])
        self._find_gaps(self._pushed, last=True)
        peaks = self._peaks(maxima, heights, last=True)
        if self._pushed < SHORTEST_SECONDS * self._rates.fs:
            return replace(peaks.above(np.inf), unusable=np.array([[0, self._pushed]])[: self._pushed])
        return peaks

    @property
    def unusable_since(self) -> int | None:
        """First sample of an interval without a usable lead that has not ended; ``None`` if a lead can be used.

        The interval is returned when it ends. Noise without R peaks, see `SilenceCheck`, is not included.
        """
        return self._unusable_since

    def _fuse(self, parts: list[tuple[np.ndarray, np.ndarray]], last: bool) -> np.ndarray:
        """Return the peak probability of all leads together that is final now."""
        probabilities = np.concatenate([outputs for outputs, _ in parts])
        usable = np.concatenate([np.broadcast_to(usable, outputs.shape) for outputs, usable in parts])
        fused, by_lead = self._fusion.push(probabilities, usable)
        if last:
            more, more_by_lead = self._fusion.finish()
            fused, by_lead = np.concatenate([fused, more]), np.concatenate([by_lead, more_by_lead], axis=1)
        if len(self._leads) > 1:
            for buffer, probability in zip(self._lead_probabilities, by_lead, strict=True):
                buffer.append(probability)
        if self._on_peak_probability is not None:
            self._on_peak_probability(fused)
        return fused

    def _peaks(self, maxima: np.ndarray, heights: np.ndarray, last: bool) -> RPeaks:
        """Return the R peaks that are final after these maxima of the peak probability."""
        known = [self._fast_rhythms.push(maxima, heights, decided=self._finder.decided)]
        if last:
            known.append(self._fast_rhythms.finish(self._finder.decided))
        maxima, heights, periods = (np.concatenate(columns) for columns in zip(*known, strict=True))
        found = self._to_lead(maxima)
        positions = self._beat_indices(maxima, heights)
        decided = self._fast_rhythms.decided * self._rates.down // self._rates.up
        periods = -(-periods * self._rates.down // self._rates.up)
        passed = self._refractory_filter.push(found, heights, positions=positions, periods=periods, decided=decided)
        parts = [self._without_unsure(passed, until=self._refractory_filter.settled)]
        if last:
            parts += [
                self._without_unsure(self._refractory_filter.finish(), until=self._pushed),
                self._rhythm_filter.finish(),
            ]
        samples = np.concatenate([samples for samples, _ in parts])
        heights = np.concatenate([heights for _, heights in parts])
        self._measure(last)
        # A second before the next maximum is kept: far more than snapping needs.
        for lead in self._leads:
            lead.drop_before(decided - round(self._rates.fs))
        for buffer in self._lead_probabilities:
            buffer.drop_before(self._fast_rhythms.decided - self._max_shift - 1)
        peaks = RPeaks(samples, heights).above(self._threshold)
        peaks = replace(peaks, unusable=self._unusable(peaks.samples, last))
        return peaks if self._calibration is None else peaks.calibrated(self._calibration)

    def _measure(self, last: bool) -> None:
        """Let the check of silences see the samples whose usability has become final."""
        for number, lead in enumerate(self._leads):
            part = self._measured[number], lead.signal.end if last else max(self._measured[number], lead.checked)
            self._silences.measure(number, signal=lead.signal.view(*part), usable=lead.usable.view(*part))
            self._measured[number] = part[1]

    def _unusable(self, r_peaks: np.ndarray, last: bool) -> np.ndarray:
        """Return the unusable intervals that are final after these R peaks."""
        noisy = self._silences.push(r_peaks)
        if last:
            noisy = np.concatenate([noisy, self._silences.finish(self._pushed)])
        ready = self._gaps[:, 0] < self._silences.decided
        intervals = join_intervals(np.concatenate([noisy, self._gaps[ready]]))
        self._gaps = self._gaps[~ready]
        return intervals

    def _without_unsure(
        self, peaks: tuple[np.ndarray, np.ndarray, np.ndarray], *, until: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the peaks that the rhythm rule leaves, of positions, heights and refractory periods."""
        samples, heights, periods = peaks
        return self._rhythm_filter.push(samples, heights, until=until, fast=periods < self._usual_period)

    def _to_lead(self, samples: np.ndarray) -> np.ndarray:
        """Convert sample indices of the model to sample indices of the signal."""
        return np.asarray(np.minimum(self._rates.to_lead(samples), max(0, self._pushed - 1)))

    def _beat_indices(self, maxima: np.ndarray, heights: np.ndarray) -> np.ndarray:
        """Return the sample index of each beat: the extremum of the first lead that shows it."""
        if len(self._leads) > 1:
            maxima, lead_of = choose_beat_index(
                maxima, heights, by_lead=self._lead_probabilities, max_shift=self._max_shift
            )
        else:
            lead_of = np.zeros(len(maxima), np.int64)
        found = self._to_lead(maxima)
        positions = found.copy()
        for number, lead in enumerate(self._leads):
            here = lead_of == number
            signal, usable = lead.signal, lead.usable
            held = signal.view(signal.start, signal.end)
            shifted = found[here] - signal.start
            snapped = snap_to_extremum(held, shifted, usable=usable.view(usable.start, usable.end), fs=self._rates.fs)
            positions[here] = snapped + signal.start
        return positions

    def _find_gaps(self, until: int, last: bool) -> None:
        """Find the intervals without a usable lead that have ended before ``until``."""
        first, self._checked = self._checked, max(self._checked, until)
        usable = np.zeros(self._checked - first, bool)
        for lead in self._leads:
            usable |= lead.usable.view(first, self._checked)
        before = self._unusable_since is None
        ended = []
        for change in (first + np.flatnonzero(np.diff(np.concatenate([[before], usable])))).tolist():
            if self._unusable_since is None:
                self._unusable_since = change
            else:
                ended.append((self._unusable_since, change))
                self._unusable_since = None
        if last and self._unusable_since is not None:
            ended.append((self._unusable_since, self._checked))
            self._unusable_since = None
        self._gaps = np.concatenate([self._gaps, np.array(ended, np.int64).reshape(-1, 2)])
