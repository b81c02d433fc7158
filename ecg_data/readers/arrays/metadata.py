"""Metadata among named values: sampling rate, times, units and names of leads."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.readers.arrays.named import NamedArray, NamedText, NamedValues, key_of
from ecg_study.ecg_data.readers.recording import HIGHEST_RATE, LOWEST_RATE, SAME_RATE, ReadOptions
from ecg_study.ecg_data.readers.rising import HEAD_SAMPLES, rate_of, unit_of, usual_step
from ecg_study.errors import RecordError

_RATE_KEY = re.compile(
    r"(?:ecg|ekg|signal|data|nominal|adc)?(?:fs|hz|sr|fsamp|srate|sfreq|samp(?:le|ling)?(?:rate|freq(?:uency)?)|samplespersecond)"
    r"(?:ecg|ekg|signal|hz)?"
)
_INTERVAL_KEY = re.compile(r"dt|ts|isi|samp(?:le|ling)?(?:interval|period|time)")
_TIME_KEY = re.compile(
    r"(?:ecg|ekg|signal|sample)?(?:t|times?|timestamps?|tvec|timevec(?:tor)?|timeaxis|tm)(?P<unit>s|sec|seconds|ms|us)?"
)
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "milliseconds": 1e-3}

_UNIT_KEYS = frozenset(
    {"unit", "units", "physicalunit", "physicalunits", "physunits", "ecgunit", "ecgunits", "sigunits"}
)
_UNIT_KEYS |= frozenset(
    {"signalunit", "signalunits", "dataunit", "dataunits", "chunits", "channelunits", "unitsofmeasure"}
)
_LEAD_KEYS = frozenset({"lead", "leads", "leadname", "leadnames", "leadlabels", "chname", "chnames", "channelname"})
_LEAD_KEYS |= frozenset({"channelnames", "channellabels", "chlabels", "signame", "signames", "signalnames"})
_POSSIBLE_LEAD_KEYS = frozenset({"label", "labels", "name", "names", "channel", "channels", "columns", "signals"})
"""Names of texts that are those of leads only if there are as many: labels may also be those of beats."""

_GAIN_KEYS = frozenset({"gain", "adcgain"})
_CALIBRATION_KEYS = _GAIN_KEYS | {"adczero", "adcoffset", "offset", "scale", "scalefactor", "lsb", "conversionfactor"}

_NUMBER_IN_HERTZ = re.compile(r"(?P<number>[0-9]{1,7}(?:\.[0-9]{1,9})?)(?: ?(?P<kilo>k)?Hz)?", re.IGNORECASE)

_PIECE = 1_000_000
_FASTEST_ASSUMED, _SLOWEST_ASSUMED = 5000.0, 50.0
"""Sampling rates in Hz of times without a unit, which are taken as seconds. Times in ms look like slower ones."""


def is_metadata(array: NamedArray) -> bool:
    """Return whether the name of an array is that of a sampling rate, a sampling interval or times."""
    key = key_of(array.name)
    if array.size <= 1:
        return True
    return any(pattern.fullmatch(key) for pattern in (_RATE_KEY, _INTERVAL_KEY, _TIME_KEY))


def is_time(name: str) -> bool:
    """Return whether a name is that of times."""
    return _TIME_KEY.fullmatch(key_of(name)) is not None


def sampling_rate(
    path: Path, values: NamedValues, *, samples: int, options: ReadOptions, rising: Sequence[NamedArray] = ()
) -> float | None:
    """Return the sampling rate in Hz that the values of a file state; ``None`` if none does.

    Args:
        path: path of the file, for messages.
        values: all values.
        samples: number of samples of the signal; an array with as many times is its clock.
        options: ``fs`` decides the unit of times without one, unless the file states the rate.
        rising: arrays of as many numbers that increase as times do, without the name of times.

    Raises:
        RecordError: two values disagree, or one is not a rate.
    """
    stated = dict(_stated_rates(path, values))
    hint = next(iter(stated.values()), options.fs)
    if hint is not None:
        stated |= _intervals_without_unit(values, hint)
    for array in values.arrays:
        if _TIME_KEY.fullmatch(key_of(array.name)) and array.size == samples > 2 and max(array.shape) == samples:
            rate = _rate_of_times(path, array, hint)
            if rate is not None:
                stated[array.name] = rate
    rates = list(stated.values())
    for array in rising:
        check_rising(path, array, fs=rates[0] if rates else options.fs)
    if not rates:
        return None
    if any(not math.isclose(rate, rates[0], rel_tol=SAME_RATE) for rate in rates):
        listed = ", ".join(f"{name[:40]!r}: {rate:g} Hz" for name, rate in list(stated.items())[:20])
        raise RecordError(path, f"states different sampling rates ({listed}); correct the file")
    return rates[0]


def _stated_rates(path: Path, values: NamedValues) -> Iterator[tuple[str, float]]:
    for array in values.arrays:
        if not _RATE_KEY.fullmatch(key_of(array.name)) or not 0 < array.size <= 4096:
            continue
        numbers = np.unique(_all_of(array))
        if len(numbers) > 1:
            raise RecordError(path, f"{array.name[:60]!r} states several sampling rates; use one for all leads")
        rate = float(numbers[0])
        yield array.name, _positive(path, array.name, rate)
    for text in values.texts:
        if _RATE_KEY.fullmatch(key_of(text.name)) and len(text.texts) == 1:
            found = _NUMBER_IN_HERTZ.fullmatch(text.texts[0])
            if found is None:
                raise RecordError(path, f"{text.name[:60]!r}: {text.texts[0][:40]!r} is not a sampling rate in Hz")
            yield text.name, _positive(path, text.name, float(found["number"]) * (1000.0 if found["kilo"] else 1.0))
    yield from _rates_of_intervals(path, values)


def _rates_of_intervals(path: Path, values: NamedValues) -> Iterator[tuple[str, float]]:
    """Yield the rates of sampling intervals with a unit, as Biopac writes them: ``isi`` and ``isi_units``."""
    units = {key_of(text.name): text.texts[0].lower() for text in values.texts if len(text.texts) == 1}
    for array in values.arrays:
        key = key_of(array.name)
        if not _INTERVAL_KEY.fullmatch(key) or array.size != 1:
            continue
        unit = next((units[key + ending] for ending in ("units", "unit") if key + ending in units), "")
        if unit in _SECONDS:
            interval = _positive(path, array.name, float(_all_of(array)[0]))
            yield array.name, _positive(path, array.name, 1 / (interval * _SECONDS[unit]))


def _intervals_without_unit(values: NamedValues, fs: float) -> dict[str, float]:
    """Return the rates of sampling intervals without a unit: ``fs`` if it agrees with s, ms or µs, else another one.

    Numbers that give no ECG sampling rate in any of these units, such as a start time, are ignored.
    """
    rates = {}
    units = {key_of(text.name) for text in values.texts}
    for array in values.arrays:
        key = key_of(array.name)
        if not _INTERVAL_KEY.fullmatch(key) or array.size != 1 or units & {f"{key}unit", f"{key}units"}:
            continue
        interval = float(_all_of(array)[0])
        # The name ts is also that of times.
        possible = [1 / (interval * scale) for scale in ((1.0,) if key == "ts" else (1.0, 1e-3, 1e-6)) if interval > 0]
        possible = [rate for rate in possible if LOWEST_RATE <= rate <= HIGHEST_RATE]
        if possible and not any(math.isclose(rate, fs, rel_tol=SAME_RATE) for rate in possible):
            rates[array.name] = possible[0]
    return rates


def _positive(path: Path, name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise RecordError(path, f"{name[:60]!r} is {value:g}; a sampling rate must be positive")
    return value


def _all_of(array: NamedArray) -> np.ndarray:
    return np.asarray(array.part(tuple(slice(None) for _ in array.shape)), np.float64).reshape(-1)


def _rate_of_times(path: Path, array: NamedArray, fs: float | None) -> float | None:
    """Return the sampling rate of evenly spaced times in Hz; ``None`` if their unit is unknown.

    If the times have no unit, the rate ``fs`` that is stated elsewhere decides whether it is s, ms or µs.

    Raises:
        RecordError: the times are not evenly spaced.
    """
    step = _check_even(path, array)
    found = _TIME_KEY.fullmatch(key_of(array.name))
    unit = found["unit"] if found else None
    if unit:
        rate = 1 / (step * _SECONDS[unit])
    elif fs is not None:
        rate = min((1 / (step * scale) for scale in (1.0, 1e-3, 1e-6)), key=lambda rate: abs(rate - fs))
    elif not _SLOWEST_ASSUMED <= 1 / step <= _FASTEST_ASSUMED:
        problem = f"{array.name[:60]!r}: has {1 / step:g} Hz if its unit is s; give fs in Hz"
        raise RecordError(path, problem, parameter="fs")
    else:
        rate = 1 / step
    nearest = round(rate)
    return float(nearest) if nearest and abs(rate / nearest - 1) * max(array.shape) < 1 else rate


def check_rising(path: Path, array: NamedArray, *, fs: float | None) -> None:
    """Compare numbers that increase evenly with the sampling rate, if they can be times or count the samples.

    Raises:
        RecordError: they have gaps, or another rate in each unit of time.
    """
    step = usual_step(_piece(array, 0, min(HEAD_SAMPLES, max(array.shape))))
    if step is None or fs is None or fs <= 0:
        return
    unit = unit_of(step, fs)
    if unit is not None:
        if unit != 1 / fs or not _begins_again(array):
            _check_even(path, array)
        return
    rate = rate_of(step)
    if rate is not None:
        problem = (
            f"{array.name[:60]!r}: increases evenly like a time, with {rate:g} Hz, but the sampling rate is {fs:g} Hz"
        )
        raise RecordError(path, f"{problem}; correct it, or remove it", parameter="fs")


def _begins_again(array: NamedArray) -> bool:
    """Return whether numbers decrease somewhere, as those of a counter do that begins again."""
    pieces = (_piece(array, start, start + _PIECE + 1) for start in range(0, max(array.shape), _PIECE))
    return any(bool((np.diff(piece) < 0).any()) for piece in pieces)


def _check_even(path: Path, array: NamedArray) -> float:
    """Return the step of evenly spaced times.

    Raises:
        RecordError: the times are not evenly spaced.
    """
    samples = max(array.shape)
    first, last = (float(_piece(array, place, place + 1)[0]) for place in (0, samples - 1))
    step = (last - first) / (samples - 1)
    if not (math.isfinite(step) and step > 0):
        raise RecordError(path, f"{array.name[:60]!r}: its times do not increase; remove it, or correct it")
    for start in range(0, samples, _PIECE):
        end = min(start + _PIECE + 1, samples)
        times = _piece(array, start, end)
        with np.errstate(invalid="ignore"):
            uneven = ~(np.abs(np.diff(times) / step - 1) <= 0.5)
            late = ~(np.abs((times - first) / step - np.arange(start, end)) <= 0.75)
        if uneven.any() or late.any():
            place = start + int(uneven.argmax() if uneven.any() else late.argmax())
            problem = f"{array.name[:60]!r}: its times are not evenly spaced, see sample {place:,}"
            raise RecordError(path, f"{problem}; fill gaps with missing samples")
    return step


def _piece(array: NamedArray, start: int, end: int) -> np.ndarray:
    """Return times of an array whose other axes have the length 1."""
    index = tuple(slice(start, end) if length == max(array.shape) else 0 for length in array.shape)
    return np.asarray(array.part(index), np.float64).reshape(-1)


def check_calibration(path: Path, values: NamedValues, *, options: ReadOptions) -> None:
    """Check that values without a unit are not ADC units, for which the file states a calibration.

    Raises:
        RecordError: the file states one, and ``options`` have no unit and no gain, or another gain.
    """
    for array in values.arrays:
        key = key_of(array.name)
        if key not in _CALIBRATION_KEYS or not 0 < array.size <= 4096:
            continue
        if options.gain is None and not options.units:
            problem = (
                f"states {array.name[:60]!r}, but no unit; give gain (ADC units per mV) and adc_zero if its numbers"
            )
            problem += " are ADC units, or units (mV, uV or V)"
            raise RecordError(path, problem, parameter="gain", parameters=("adc_zero", "units"))
        stated = _all_of(array)
        if key in _GAIN_KEYS and options.gain is not None and not np.isclose(stated, options.gain).any():
            problem = f"states {array.name[:60]!r}: {stated[0]:g}, but gain is {options.gain:g}"
            raise RecordError(path, f"{problem}; correct one of them", parameter="gain")


@dataclass(frozen=True)
class LeadNames:
    """Texts that name the leads of a signal.

    Attributes:
        names: one name per lead.
        certain: whether the name of the texts allows no other meaning.
    """

    names: tuple[str, ...]
    certain: bool


def lead_names(values: NamedValues) -> list[LeadNames]:
    """Return the texts that may be names of leads, certain ones first."""
    certain = [LeadNames(_divided(text), True) for text in values.texts if key_of(text.name) in _LEAD_KEYS]
    possible = [LeadNames(_divided(text), False) for text in values.texts if key_of(text.name) in _POSSIBLE_LEAD_KEYS]
    return certain + possible


def units_of(path: Path, values: NamedValues, *, leads: int) -> Sequence[str]:
    """Return one unit per lead; empty ones if no value states them.

    Raises:
        RecordError: there is another number of units than of leads, or two values state different ones.
    """
    found: dict[tuple[str, ...], NamedText] = {}
    for text in values.texts:
        if key_of(text.name) in _UNIT_KEYS and any(text.texts):
            units = _divided(text)
            if len(units) not in (1, leads):
                raise RecordError(path, f"{text.name[:60]!r} has {len(units)} units, but the signal has {leads} leads")
            found.setdefault(units * leads if len(units) == 1 else units, text)
    if len(found) > 1:
        listed = ", ".join(text.name for text in list(found.values())[:20])
        raise RecordError(path, f"states different units ({listed}); correct the file")
    return next(iter(found), ("",) * leads)


def _divided(text: NamedText) -> tuple[str, ...]:
    """Return several texts, also if they are one text with commas."""
    if len(text.texts) == 1 and re.search("[,;]", text.texts[0]):
        return tuple(part.strip() for part in re.split("[,;]", text.texts[0]))
    return text.texts
