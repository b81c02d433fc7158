"""The face of a denoiser bundle: a signal in, the same signal clean out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ecg_study.ecg_data.buffers import SampleBuffer
from ecg_study.ecg_data.resampling import Resampler, rate_ratio
from ecg_study.errors import InputError
from ecg_study.inference.inputs import BLOCK_SECONDS, as_leads, check_rate
from ecg_study.inference.lead_stream import LeadStream, Rates
from ecg_study.models.card import ModelCard
from ecg_study.models.runtimes import Runtime


class Denoiser:
    """Cleans any ECG.

    Args:
        card: of the bundle.
        engine: runs its model.
    """

    def __init__(self, card: ModelCard, engine: Runtime) -> None:
        self.card = card
        self.engine = engine

    def clean(self, signal: Any, fs: float, progress: Callable[[int, int], None] | None = None) -> Any:
        """The signal without its noise.

        Each lead is cleaned for itself. What cannot be used (missing samples, flat stretches) comes back as it was:
        nothing is invented. Where the model removes drift (``card.drift``) all of it lies around 0 mV. A signal of a
        higher rate than the model's keeps what lies below half of the model's rate.

        Args:
            signal: mV, shape ``(samples,)`` or ``(samples, leads)``: array, list, or pandas. The noise that the model
                knows has a level in mV, so the unit matters.
            fs: sampling rate in Hz, from 100 to 10,000.
            progress: called with the samples done and their total.

        Returns:
            mV, of the same shape; float32 where the signal was, else float64; pandas where it was.

        Raises:
            SignalError: the signal or its rate is not what they must be.
        """
        leads = as_leads(signal)
        stream = self.stream(fs, leads.shape[1])
        block = round(BLOCK_SECONDS * fs)
        clean = np.empty(leads.shape, np.float32 if leads.dtype == np.float32 else np.float64)
        done = 0
        for start in range(0, len(leads), block):
            if progress is not None:
                progress(start, len(leads))
            part = stream.push(leads[start : start + block])
            clean[done : done + len(part)] = part.reshape(-1, leads.shape[1])
            done += len(part)
        clean[done:] = stream.finish().reshape(-1, leads.shape[1])
        if progress is not None:
            progress(len(leads), len(leads))
        return _as_given(clean, signal)

    def stream(self, fs: float, leads: int = 1) -> DenoiserStream:
        """A denoiser for a signal that comes in chunks.

        Args:
            fs: sampling rate in Hz.
            leads: how many there are.
        """
        return DenoiserStream(self.card.fs, self.card.segment, self.engine, fs, leads, self.card.drift == "removed")


class DenoiserStream:
    """Cleans a signal as it comes in; put together, what it gives is that of `Denoiser.clean`.

    Args:
        model_fs: sampling rate in Hz that the model was trained at.
        segment: samples it reads at once.
        engine: runs it.
        fs: sampling rate of the signal in Hz.
        leads: how many there are.
        centred: whether the clean signal lies around 0, whatever the offset of the lead.

    Attributes:
        delay: a sample is given at the latest when so many samples after it have been pushed.
    """

    def __init__(
        self, model_fs: float, segment: int, engine: Runtime, fs: float, leads: int, centred: bool = False
    ) -> None:
        fs = check_rate(fs)
        if leads < 1:
            raise InputError(f"{leads} leads; there must be at least one")
        rates = Rates(fs, *rate_ratio(fs, model_fs))
        self._leads = [_CleanedLead(engine, segment, rates, centred) for _ in range(leads)]
        self._one = leads == 1
        self._finished = False
        self.delay = self._leads[0].delay

    def push(self, chunk: Any) -> np.ndarray:
        """Take the next samples in mV; give the clean ones that are certain now, float64.

        Args:
            chunk: shape ``(samples,)`` or ``(samples, leads)``.

        Returns:
            Shape ``(samples,)`` for one lead, else ``(samples, leads)``.

        Raises:
            SignalError: the chunk is not what it must be, or `finish` was called before.
        """
        leads = as_leads(chunk)
        if self._finished:
            raise InputError("the stream is finished; begin another")
        if leads.shape[1] != len(self._leads):
            raise InputError(f"a chunk of {leads.shape[1]} leads for a stream of {len(self._leads)}")
        return self._shaped([lead.push(leads[:, column]) for column, lead in enumerate(self._leads)])

    def finish(self) -> np.ndarray:
        """The samples that are left, at the end of the signal."""
        if self._finished:
            raise InputError("the stream is finished; begin another")
        self._finished = True
        return self._shaped([lead.finish() for lead in self._leads])

    @property
    def unusable(self) -> tuple[int, ...]:
        """Samples of each lead that came back as they were, so far."""
        return tuple(lead.unusable for lead in self._leads)

    def _shaped(self, columns: list[np.ndarray]) -> np.ndarray:
        return columns[0] if self._one else np.column_stack(columns)


class _CleanedLead:
    """One lead: to the model's rate, through it, and back."""

    def __init__(self, engine: Runtime, segment: int, rates: Rates, centred: bool) -> None:
        self._lead = LeadStream(engine.run, segment, rates, lambda segments: (segments, None))
        self._back = Resampler(rates.down, rates.up)
        self._given = SampleBuffer(np.float64)
        self._made = 0
        self._centred = centred
        self.unusable = 0
        self.delay = self._lead.lookahead + -(-self._back.lookahead * rates.down // rates.up) + 1

    def push(self, chunk: np.ndarray) -> np.ndarray:
        self._given.append(chunk)
        output, _ = self._lead.push(chunk)
        return self._finished(self._back.push(output[0]))

    def finish(self) -> np.ndarray:
        output, _ = self._lead.finish()
        return self._finished(np.concatenate([self._back.push(output[0]), self._back.finish(self._given.end)]))

    def _finished(self, clean: np.ndarray) -> np.ndarray:
        first, self._made = self._made, self._made + len(clean)
        given = self._given.view(first, self._made)
        usable = self._lead.usable.view(first, self._made)
        offset = self._lead.filler.offset
        # Around 0 so is what could not be used, or there would be a step of the lead's offset beside it.
        kept, added = (given - offset, 0.0) if self._centred else (given, offset)
        result = np.where(usable, clean.astype(np.float64) + added, kept)
        self.unusable += int(len(usable) - usable.sum())
        self._given.drop_before(self._made)
        self._lead.drop_before(self._made)
        return result


def _as_given(clean: np.ndarray, signal: Any) -> Any:
    """In the shape, and in the kind of pandas object, that the signal came in."""
    if not hasattr(signal, "index") or isinstance(signal, (list, tuple)):
        return clean[:, 0] if np.ndim(signal) == 1 else clean
    import pandas as pd

    if isinstance(signal, pd.Series):
        return pd.Series(clean[:, 0], index=signal.index, name=signal.name)
    return pd.DataFrame(clean, index=signal.index, columns=signal.columns)
