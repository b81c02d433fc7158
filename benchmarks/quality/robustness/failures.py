"""Failures of electrodes and recorders, and hearts unlike those of MIT-BIH, made from validation records.

The code is separate from that of augmentation (`ecg_study.ecg_data.segments.augmentation`), and every failure returns
at a fixed interval. The kinds and their ranges are those that detectors are trained with, so a detector that does well
here may still fail on a recorded artifact of another form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.evaluation.leads import EvaluationLead

_EVERY = 7.3  # seconds between failures: no multiple of usual RR intervals
_BEATS = 10  # every tenth beat is premature-like
_DECAY = 0.3  # seconds, of a jump
_QRS, _T = (-0.06, 0.06), (0.14, 0.40)  # seconds around the R peak, T at 60 beats a minute
_EDGE = 0.03  # seconds over which an amplitude changes


@dataclass(frozen=True)
class Failure:
    """One kind of failure.

    Attributes:
        unit: meaning of a strength.
        strengths: weak and strong.
        apply: function of a lead and a strength that returns the changed lead.
    """

    unit: str
    strengths: tuple[float, float]
    apply: Callable[[EvaluationLead, float], EvaluationLead]


def qrs_amplitude(lead: EvaluationLead) -> float:
    """Return the median height of the R peaks over the baseline in mV."""
    level = remove_baseline_wander(lead.clean, lead.fs)
    return float(np.median(np.abs(level[lead.r_peaks])))


def _starts(lead: EvaluationLead, seconds: float = _EVERY) -> np.ndarray:
    return np.arange(seconds / 2, len(lead.clean) / lead.fs - seconds, seconds)


def _with_signal(
    lead: EvaluationLead, signal: np.ndarray, *, lost: list[tuple[int, int]] | None = None
) -> EvaluationLead:
    excluded = tuple(sorted([*lead.excluded_intervals, *(lost or [])]))
    return replace(lead, clean=signal, noisy=signal, excluded_intervals=excluded)


def _spikes(lead: EvaluationLead, height: float) -> EvaluationLead:
    """Add single spikes of two samples and of both signs, every 2.1 s."""
    signal = lead.clean.astype(np.float64)
    for number, second in enumerate(_starts(lead, 2.1)):
        at = round(second * lead.fs)
        signal[at : at + 2] += height * (-1) ** number
    return _with_signal(lead, signal)


def _saturation(lead: EvaluationLead, seconds: float) -> EvaluationLead:
    """Hold the lead at the end of the range, three QRS amplitudes; nothing can be found there."""
    signal, lost = lead.clean.astype(np.float64), []
    for number, second in enumerate(_starts(lead)):
        start, end = round(second * lead.fs), round((second + seconds) * lead.fs)
        signal[start:end] = np.median(signal) + 3 * qrs_amplitude(lead) * (-1) ** number
        lost.append((start, end))
    return _with_signal(lead, signal, lost=lost)


def _dropouts(lead: EvaluationLead, seconds: float) -> EvaluationLead:
    """Hold the lead at 0 mV."""
    signal, lost = lead.clean.astype(np.float64), []
    for second in _starts(lead):
        start, end = round(second * lead.fs), round((second + seconds) * lead.fs)
        signal[start:end] = 0.0
        lost.append((start, end))
    return _with_signal(lead, signal, lost=lost)


def _jumps(lead: EvaluationLead, height: float) -> EvaluationLead:
    """Add jumps that decay, in QRS amplitudes."""
    signal = lead.clean.astype(np.float64)
    decay = np.exp(-np.arange(round(5 * _DECAY * lead.fs)) / (_DECAY * lead.fs))
    for number, second in enumerate(_starts(lead)):
        at = round(second * lead.fs)
        signal[at : at + len(decay)] += height * qrs_amplitude(lead) * (-1) ** number * decay
    return _with_signal(lead, signal)


def _slow_waves(lead: EvaluationLead, height: float) -> EvaluationLead:
    """Add three sine waves below 1 Hz, whose heights in QRS amplitudes add up to the strength."""
    at = np.arange(len(lead.clean)) / lead.fs
    waves = sum(np.sin(2 * np.pi * frequency * at) for frequency in (0.17, 0.41, 0.83))
    return _with_signal(lead, lead.clean + height / 3 * qrs_amplitude(lead) * waves)


def _hum(lead: EvaluationLead, height: float) -> EvaluationLead:
    """Add 50 Hz and a third of it at 150 Hz, in QRS amplitudes."""
    at = np.arange(len(lead.clean)) / lead.fs
    wave = np.sin(2 * np.pi * 50 * at) + np.sin(2 * np.pi * 150 * at) / 3
    return _with_signal(lead, lead.clean + height * qrs_amplitude(lead) * wave)


def _tall_t(lead: EvaluationLead, factor: float) -> EvaluationLead:
    """Divide the QRS complexes by a factor, and multiply the T waves by it."""
    gain = np.ones(len(lead.clean))
    intervals = np.diff(lead.r_peaks, append=lead.r_peaks[-1] + round(lead.fs)) / lead.fs
    for peak, interval in zip(lead.r_peaks.tolist(), intervals.tolist(), strict=True):
        _scale(gain, peak, _QRS, 1 / factor, lead.fs)
        _scale(gain, peak, (_T[0], min(_T[1] * interval**0.5, interval - 0.2)), factor, lead.fs)
    return _with_signal(lead, _amplified(lead, gain))


def _large_beats(lead: EvaluationLead, factor: float) -> EvaluationLead:
    """Amplify every tenth beat, QRS complex and T wave."""
    gain = np.ones(len(lead.clean))
    for peak in lead.r_peaks[::_BEATS].tolist():
        _scale(gain, peak, (_QRS[0], _T[1]), factor, lead.fs)
    return _with_signal(lead, _amplified(lead, gain))


def _fast(lead: EvaluationLead, rate: float) -> EvaluationLead:
    """Play the lead faster, so that its mean heart rate is the strength in beats a minute."""
    seconds = (lead.r_peaks[-1] - lead.r_peaks[0]) / lead.fs
    faster = rate / (60 * (len(lead.r_peaks) - 1) / seconds)
    return replace(_with_signal(lead, lead.clean.astype(np.float64)), fs=float(round(lead.fs * max(1.0, faster))))


def _scale(gain: np.ndarray, peak: int, interval: tuple[float, float], factor: float, fs: float) -> None:
    """Multiply the gain in an interval in seconds around an R peak, with edges of half a cosine."""
    start, end = round(peak + interval[0] * fs), round(peak + interval[1] * fs)
    if end <= start:
        return
    edge = round(_EDGE * fs)
    inside = np.arange(max(0, start - edge), min(len(gain), end + edge))
    away = np.clip(np.maximum(start - inside, inside - end) / edge, 0, 1)
    gain[inside] *= 1 + (factor - 1) * (0.5 + 0.5 * np.cos(np.pi * away))


def _amplified(lead: EvaluationLead, gain: np.ndarray) -> np.ndarray:
    """Return the lead with the waves over the baseline amplified."""
    return np.asarray(lead.clean + (gain - 1) * remove_baseline_wander(lead.clean, lead.fs))


FAILURES: Mapping[str, Failure] = MappingProxyType(
    {
        "spikes": Failure("mV", (3.0, 30.0), _spikes),
        "saturation": Failure("s of 7.3 s", (0.5, 3.0), _saturation),
        "dropouts": Failure("s of 7.3 s", (0.5, 3.0), _dropouts),
        "decaying jumps": Failure("QRS amplitudes", (3.0, 10.0), _jumps),
        "slow waves": Failure("QRS amplitudes", (3.0, 10.0), _slow_waves),
        "hum": Failure("QRS amplitudes", (0.5, 2.0), _hum),
        "small QRS, tall T": Failure("times smaller and taller", (1.5, 3.0), _tall_t),
        "large beats": Failure("times, every tenth", (2.0, 3.0), _large_beats),
        "fast hearts": Failure("beats a minute", (150.0, 190.0), _fast),
    }
)
"""Kinds of failures by name."""
