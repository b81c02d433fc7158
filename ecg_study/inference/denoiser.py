"""Denoiser: noisy ECG in, denoised ECG of the same shape out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.removals import segments_in_a_minute
from ecg_study.ecg_data.resampling import Resampler, rate_ratio
from ecg_study.errors import InputError, ModelError
from ecg_study.inference.inputs import BLOCK_SECONDS, as_leads, check_chunk, check_lead_count, check_rate
from ecg_study.inference.lead_stream import LeadStream, Rates, hop_samples
from ecg_study.inference.quality.gaps import MAX_MV
from ecg_study.inference.quality.noise_level import NoiseMeter, RemovalWeakener
from ecg_study.models.card import REMOVED_POWER, ModelCard
from ecg_study.models.runtimes import Runtime
from ecg_study.progress import Progress


@dataclass(frozen=True)
class Denoised:
    """A denoised signal with what a user needs to judge it.

    Attributes:
        signal: Denoised samples, of the shape and type of the input.
        removed: Input minus ``signal``: the noise that was removed, with baseline wander and offset if the model
            removes them. 0 where samples are returned unchanged, NaN where they are missing.
        snr_db: Estimated SNR of each lead in each second in dB, shape ``(seconds, leads)``: power of the denoised
            signal over power of the noise that the network found, at most 60. Noise that is too little to be removed
            counts, and so does an artifact that is left and far larger than the ECG. Baseline wander that a filter
            removes before the network does not; other noise that the network does not recognize is missing. NaN where
            a second cannot be used, and for models of 0.1.0 that remove baseline wander themselves, since they do not
            tell it from other noise.
    """

    signal: Any
    removed: Any
    snr_db: np.ndarray


class Denoiser:
    """A model that removes noise from ECG of any sampling rate and length.

    Args:
        card: Card of the model.
        runtime: Runtime with the model.
    """

    def __init__(self, card: ModelCard, runtime: Runtime) -> None:
        self.card = card
        self.runtime = runtime

    @overload
    def denoise(
        self, signal: Any, *, fs: float, details: Literal[False] = ..., on_progress: Progress | None = ...
    ) -> Any: ...

    @overload
    def denoise(
        self, signal: Any, *, fs: float, details: Literal[True], on_progress: Progress | None = ...
    ) -> Denoised: ...

    def denoise(
        self, signal: Any, *, fs: float, details: bool = False, on_progress: Progress | None = None
    ) -> Any | Denoised:
        """Remove the noise from a signal.

        Each lead is denoised separately. Missing samples (NaN, infinite, absurd values) are NaN, and flat intervals are
        returned unchanged. If the model removes baseline wander (``card.baseline_wander``), the whole result lies
        around 0 mV; if it has a high-pass filter for that (``card.highpass_hz``), flat intervals are 0 mV, and where
        the model removes nothing, the result is the high-passed signal. If ``fs`` is higher than the rate of the model,
        the result keeps frequencies below half the rate of the model.

        Args:
            signal: Samples in mV, shape ``(samples,)`` or ``(samples, leads)``: array, list, or pandas. The unit
                matters for a model that keeps baseline wander, because it knows noise of a certain level in mV.
            fs: Sampling rate in Hz, from 100 to 10,000.
            details: Whether to return what was removed and the estimated SNR too.
            on_progress: Callback, called with the samples that are done and their total.

        Returns:
            Denoised samples in mV, of the same shape. The type is float32 if the input is, otherwise float64. Input
            from pandas gives a pandas object. With ``details``, a `Denoised`.

        Raises:
            InputError: The signal or the sampling rate is not valid.
            ModelError: The model cannot be run, or its output is not finite.
        """
        leads = as_leads(signal)
        stream = self.stream(fs=fs, n_leads=leads.shape[1])
        block = round(BLOCK_SECONDS * fs)
        denoised = np.empty(leads.shape, np.float32 if leads.dtype == np.float32 else np.float64)
        done = 0
        for start in range(0, len(leads), block):
            if on_progress is not None:
                on_progress("denoising", start, len(leads))
            part = stream.push(leads[start : start + block])
            denoised[done : done + len(part)] = part.reshape(-1, leads.shape[1])
            done += len(part)
        denoised[done:] = stream.finish().reshape(-1, leads.shape[1])
        if on_progress is not None:
            on_progress("denoising", len(leads), len(leads))
        result = _like_input(denoised, signal)
        if not details:
            return result
        return Denoised(result, _like_input(leads - denoised, signal), stream.snr_db())

    def stream(self, *, fs: float, n_leads: int = 1) -> DenoiserStream:
        """Open a stream for a signal that arrives in chunks.

        Args:
            fs: Sampling rate in Hz, from 100 to 10,000.
            n_leads: Number of leads.

        Raises:
            InputError: The sampling rate or the number of leads is not valid.
        """
        return DenoiserStream(
            self.runtime,
            model_fs=self.card.fs,
            segment_samples=self.card.segment_samples,
            overlap=_overlap(self.card),
            removes_baseline_wander=self.card.baseline_wander == "removed",
            highpass=self.card.highpass_hz is not None,
            removal_threshold=self.card.thresholds.get(REMOVED_POWER, 0.0),
            fs=fs,
            n_leads=n_leads,
        )


_Wander = Literal["kept", "removed", "filtered"]
"""Treatment of baseline wander: kept by the model, removed by the model, or removed by a filter before it."""


class DenoiserStream:
    """Denoiser for a signal that arrives in chunks.

    The concatenated output equals that of `Denoiser.denoise`.

    Args:
        runtime: Runtime with the model.
        model_fs: Sampling rate of the model in Hz.
        segment_samples: Samples that the model reads at once.
        overlap: Samples that neighboring segments share, at most half of a segment (default: a quarter).
        removes_baseline_wander: Whether the output lies around 0 mV, whatever the offset of the lead.
        highpass: Whether the lead is high-passed before the model. The delay is 6 to 8 s longer then.
        removal_threshold: Ratio of powers below which a removal is weakened, see `RemovalWeakener`; 0 weakens
            none.
        fs: Sampling rate of the signal in Hz.
        n_leads: Number of leads.

    Attributes:
        delay: Number of samples after a sample that must be pushed, at most, before that sample is returned.

    Raises:
        InputError: The sampling rate or the number of leads is not valid.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        model_fs: float,
        segment_samples: int,
        fs: float,
        overlap: int | None = None,
        n_leads: int = 1,
        removes_baseline_wander: bool = False,
        highpass: bool = False,
        removal_threshold: float = 0.0,
    ) -> None:
        fs = check_rate(fs)
        check_lead_count(n_leads)
        rates = Rates(fs, *rate_ratio(fs, model_fs))
        wander: _Wander = "filtered" if highpass else "removed" if removes_baseline_wander else "kept"
        segment = _Segment(segment_samples, overlap, removal_threshold)
        self._leads = [_DenoisedLead(runtime, segment, rates, wander) for _ in range(n_leads)]
        self._finished = False
        self.delay = self._leads[0].delay

    def push(self, chunk: Any) -> np.ndarray:
        """Take the next samples and return the denoised samples that are final now.

        Args:
            chunk: Samples in mV, shape ``(samples,)`` or ``(samples, leads)``.

        Returns:
            Denoised samples in mV, float64, of shape ``(samples,)`` for one lead, otherwise ``(samples, leads)``.

        Raises:
            InputError: The chunk is not valid, or the stream has been finished.
            ModelError: The model cannot be run, or its output is not finite.
        """
        leads = check_chunk(chunk, n_leads=len(self._leads), finished=self._finished)
        return self._joined([lead.push(leads[:, column]) for column, lead in enumerate(self._leads)])

    def finish(self) -> np.ndarray:
        """End the signal and return the remaining denoised samples; see `push`.

        Raises:
            InputError: The stream has been finished.
        """
        if self._finished:
            raise InputError("stream: already finished; open a new one")
        self._finished = True
        return self._joined([lead.finish() for lead in self._leads])

    def snr_db(self) -> np.ndarray:
        """Return the estimated SNR of each lead in each second so far, in dB, shape ``(seconds, leads)``.

        See `Denoised.snr_db`. It is final after `finish`.
        """
        columns = [lead.noise.decibels() for lead in self._leads]
        return np.column_stack([column[: min(map(len, columns))] for column in columns])

    @property
    def unusable(self) -> tuple[int, ...]:
        """Number of samples of each lead that were returned unchanged so far."""
        return tuple(lead.unusable for lead in self._leads)

    def _joined(self, columns: list[np.ndarray]) -> np.ndarray:
        return columns[0] if len(self._leads) == 1 else np.column_stack(columns)


@dataclass(frozen=True)
class _Segment:
    """Length and overlap of segments in samples, and the threshold of `RemovalWeakener`."""

    samples: int
    overlap: int | None
    removal_threshold: float

    def weakener(self, rates: Rates) -> RemovalWeakener | None:
        """Return what weakens small removals from one lead; ``None`` if none are weakened."""
        if not self.removal_threshold:
            return None
        hop = hop_samples(self.samples, overlap=self.overlap)
        minute = segments_in_a_minute(hop, fs=rates.fs * rates.up / rates.down)
        return RemovalWeakener(self.removal_threshold, segments_per_minute=minute)


class _DenoisedLead:
    """One lead: resampled to the rate of the model, denoised, and resampled back."""

    def __init__(self, runtime: Runtime, segment: _Segment, rates: Rates, wander: _Wander) -> None:
        weakener = segment.weakener(rates)

        def run(segments: np.ndarray) -> np.ndarray:
            """Return the output, and before it, if small removals are weakened, the output without those."""
            found = runtime.run(segments)
            return found[np.newaxis] if weakener is None else np.stack([weakener.weaken(segments, found), found])

        self._lead = LeadStream(
            run,
            segment_samples=segment.samples,
            rates=rates,
            prepare=lambda segments: (segments, None),
            outputs=1 if weakener is None else 2,
            removes_wander=wander == "filtered",
            keeps_input=True,
            overlap=segment.overlap,
        )
        self.noise = NoiseMeter(rates.fs * rates.up / rates.down)
        self._back = Resampler(rates.down, rates.up)
        self._input = SampleBuffer(np.float64)
        self._returned = 0
        self._wander = wander
        # At lower rates than that of the model, nothing above half its rate can be there to remove. So what the model
        # removed is subtracted from the lead itself, which resampling to the model and back would change a little.
        self._subtracts = wander == "filtered" and rates.up >= rates.down
        self.unusable = 0
        self.delay = self._lead.lookahead + -(-self._back.lookahead * rates.down // rates.up) + 1

    def push(self, chunk: np.ndarray) -> np.ndarray:
        self._input.append(chunk)
        output, usable = self._lead.push(chunk)
        return self._restore(self._back.push(self._measured(output, usable)))

    def finish(self) -> np.ndarray:
        output, usable = self._lead.finish()
        measured = self._measured(output, usable)
        return self._restore(np.concatenate([self._back.push(measured), self._back.finish(self._input.end)]))

    def _measured(self, outputs: np.ndarray, usable: np.ndarray) -> np.ndarray:
        """Add the outputs to the estimate of the noise, and return the first, or what it lacks if that is subtracted.

        The noise is what the last output lacks: what the network found, whether that was removed or not.
        """
        given = self._lead.input
        first, output = given.start, outputs[0]
        signal = given.view(first, first + len(output))
        self.noise.add(output, signal - outputs[-1], usable=usable & (self._wander != "removed"))
        removed = signal - output
        given.drop_before(first + len(output))
        return np.asarray(removed if self._subtracts else output)

    def _restore(self, resampled: np.ndarray) -> np.ndarray:
        """Subtract what was removed, add the offset of the lead, and put unusable samples back."""
        if not np.isfinite(resampled).all():
            raise ModelError("denoiser: the output of the model is not finite; use another model, or check the unit")
        first, self._returned = self._returned, self._returned + len(resampled)
        denoised = self._lead.signal.view(first, self._returned) - resampled if self._subtracts else resampled
        original = self._input.view(first, self._returned)
        usable = self._lead.usable.view(first, self._returned)
        offset = self._lead.filler.offset
        # Without baseline wander the output lies around 0. So must unusable samples, or the offset would be a step.
        unchanged, added = (original, offset) if self._wander == "kept" else (original - offset, 0.0)
        if self._wander == "filtered":  # a constant level is baseline wander
            unchanged = np.zeros_like(unchanged)
        # An absurd value is a missing sample. In the output, it would set the scale of files and plots.
        unchanged = np.where(np.abs(original - offset) <= MAX_MV, unchanged, np.nan)
        result = np.where(usable, denoised.astype(np.float64) + added, unchanged)
        self.unusable += int(len(usable) - usable.sum())
        self._input.drop_before(self._returned)
        self._lead.drop_before(self._returned)
        return result


def _overlap(card: ModelCard) -> int:
    """Return the samples that neighboring segments share.

    They are about half of a segment, so that each sample is denoised twice. The frames of both segments are half a
    frame apart. The errors of the two outputs differ then, and their mean has less error (``docs/experiments.md``). A
    model whose card has no frame has frames of one sample.
    """
    frame = card.hyperparameters.get("frame", 1)
    if not isinstance(frame, int) or not 1 <= frame <= card.segment_samples // 2:
        frame = 1
    return (card.segment_samples // 2 - frame // 2) // frame * frame + frame // 2


def _like_input(denoised: np.ndarray, signal: Any) -> Any:
    """Return the denoised leads with the shape and the pandas type of the input."""
    if not hasattr(signal, "index") or isinstance(signal, (list, tuple)):
        return denoised[:, 0] if np.ndim(signal) == 1 else denoised
    import pandas as pd

    if isinstance(signal, pd.Series):
        return pd.Series(denoised[:, 0], index=signal.index, name=signal.name)
    return pd.DataFrame(denoised, index=signal.index, columns=signal.columns)
