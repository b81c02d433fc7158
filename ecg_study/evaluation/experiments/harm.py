"""Denoising without harm: whole recordings, from those without added noise to very noisy ones.

The noise is recorded, zero-mean in windows of 10 s, and scaled in each window against the recording after the
high-pass that defines the reference. The first row to compare with is that high-pass alone, which changes nothing
else: a denoiser that falls below it at some level does harm there.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

from ecg_study.ecg_data.databases.splits import Part
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import MIX, RECORDED_NOISE_TYPES, NoiseType, join_windows, window_excerpts
from ecg_study.ecg_data.noise_records import NoiseRecords
from ecg_study.errors import DataError, InputError
from ecg_study.evaluation.baselines.filters import (
    BANDPASS,
    CAREFUL_WAVELET,
    HIGHPASS_WAVELET,
    bandpass,
    careful_wavelet,
    highpass_wavelet,
)
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.leads import EvaluationLead, by_record, databases_of, rows_of, subjects_by_record
from ecg_study.evaluation.metrics import bootstrap_means
from ecg_study.evaluation.morphology import Waves, summarize_changes, wave_changes
from ecg_study.evaluation.results.harm import (
    EXACT_HIGHPASS,
    CleanCell,
    HarmCell,
    HarmSection,
    MorphologyChange,
)
from ecg_study.evaluation.results.values import LSTM, NO_FILTER, Estimate
from ecg_study.evaluation.threads import map_in_threads
from ecg_study.progress import Progress
from ecg_study.result_cache import Arrays, ResultCache, content_key

HARM_LEVELS = (24, 18, 12, 6, 0, -6)
"""SNR of the input in dB."""

MORPHOLOGY_LEVELS = (24, 6)
"""SNR of the input in dB at which waves are measured, besides recordings without added noise."""

HARM_METHODS = (NO_FILTER, EXACT_HIGHPASS, BANDPASS, HIGHPASS_WAVELET, CAREFUL_WAVELET, LSTM)
"""Methods that are compared without added noise and under the mixture of recorded noise."""

SINGLE_TYPE_METHODS = (NO_FILTER, EXACT_HIGHPASS, LSTM)
"""Methods that are compared under one type of recorded noise."""

_FLAT_MV = 0.001  # a lead below this RMS without its wander is flat: it has no power to scale noise with
_TITLE = "Denoising without harm"

_FORMAT = 5
"""Version of the cached results: raised when the same model and leads would give others."""


@dataclass(frozen=True)
class _Case:
    """Noise type, ``None`` for recordings without added noise, and SNR in dB."""

    noise_type: NoiseType | None
    snr: int

    @property
    def methods(self) -> tuple[str, ...]:
        return HARM_METHODS if self.noise_type in (None, MIX) else SINGLE_TYPE_METHODS

    @property
    def with_waves(self) -> bool:
        return self.noise_type is None or (self.noise_type == MIX and self.snr in MORPHOLOGY_LEVELS)


_CLEAN = _Case(None, 0)


@dataclass(frozen=True)
class _Setting:
    """Settings that all leads and cases share."""

    model: CachedModel
    noise: NoiseRecords | None
    part: Part
    seed: int
    store: ResultCache | None


def measure_harm(
    model: CachedModel,
    leads: Sequence[EvaluationLead],
    *,
    noise: NoiseRecords | None,
    part: Part,
    noise_types: Sequence[NoiseType] = RECORDED_NOISE_TYPES,
    seed: int,
    store: ResultCache | None = None,
    progress: Progress | None = None,
) -> HarmSection:
    """Measure every level on whole leads: all methods and waves under the mixture, the main methods under each type.

    Args:
        model: a denoiser that removes baseline wander.
        leads: whole leads, at the sampling rate of the noise.
        noise: the noise records; ``None`` for recordings without added noise only.
        part: part of the study whose stretches of the noise are used.
        noise_types: recorded types.
        seed: seed of the noise and of the bootstrap.
        store: result cache; ``None`` for none.
        progress: callback for the cases that are done.

    Raises:
        InputError: the denoiser keeps baseline wander.
        DataError: the noise has another sampling rate than the leads.
    """
    if not model.removes_baseline_wander:
        raise InputError("the denoiser keeps baseline wander; one that removes it is needed")
    if noise is not None and (other := [lead.fs for lead in leads if lead.fs != noise.fs]):
        raise DataError(f"{noise.directory}: has {noise.fs:g} Hz, but the records have {other[0]:g} Hz")
    setting = _Setting(model, noise, part, seed, store)
    noisy_cases = [] if noise is None else [_Case(name, snr) for name in noise_types for snr in HARM_LEVELS]
    rows: dict[_Case, list[Arrays]] = {case: [] for case in (_CLEAN, *noisy_cases)}
    # One step has all levels of one type, so that their noise is drawn once.
    steps = [
        (lead, [case for case in rows if case.noise_type == name])
        for lead in leads
        for name in dict.fromkeys(case.noise_type for case in rows)
    ]
    done, total = 0, len(leads) * len(rows)
    report = progress if progress is not None else lambda *_: None
    report(_TITLE, done, total)
    for (_, cases), found in zip(steps, map_in_threads(lambda step: _kept(*step, setting), steps), strict=True):
        for case, row in zip(cases, found, strict=True):
            rows[case].append(row)
        done += len(cases)
        report(_TITLE, done, total)
    return HarmSection(
        reference="recording after a zero-phase high-pass at 0.5 Hz",
        noisy=[cell for case in noisy_cases for cell in _noisy_cells(case, leads, rows[case], seed)],
        clean=_clean_cells(leads, rows[_CLEAN], seed),
    )


def noise_for_lead(
    reference: np.ndarray, noise: NoiseRecords, *, noise_type: NoiseType, part: Part, seed: Sequence[int]
) -> np.ndarray:
    """Return noise for a whole lead that has the power of the reference in each window of 10 s, an SNR of 0 dB.

    Args:
        reference: the lead without baseline wander, in mV, at the sampling rate of the noise, shape ``(samples,)``.
        noise: the noise records.
        noise_type: a recorded type.
        part: part of the study whose stretches of the noise are used.
        seed: seed of the places in the noise.

    Returns:
        Noise in mV, shape ``(samples,)``. Neighboring windows are joined by a cross-fade of constant power.
    """
    count, samples = window_excerpts(len(reference), fs=noise.fs)
    drawn = noise.draw(noise_type, part, count=count, samples=samples, seed=seed)
    return join_windows(drawn, reference, fs=noise.fs)


def _kept(lead: EvaluationLead, cases: Sequence[_Case], setting: _Setting) -> list[Arrays]:
    """Return the results of one lead at all levels of one type, from the cache if they are there."""
    if setting.store is None:
        return _measure(lead, cases, setting)
    keys = {case: _key(lead, case, setting) for case in cases}
    kept = {case: setting.store.get(key) for case, key in keys.items()}
    missing = [case for case in cases if kept[case] is None]
    for case, row in zip(missing, _measure(lead, missing, setting) if missing else [], strict=True):
        setting.store.put(keys[case], row)
        kept[case] = row
    return [row for row in kept.values() if row is not None]


def _key(lead: EvaluationLead, case: _Case, setting: _Setting) -> str:
    noise = setting.noise
    what = {
        "what": "harm",
        "format": _FORMAT,
        "model": setting.model.identity,
        "noise": {} if noise is None or case.noise_type is None else noise.checksums,
        "case": [case.noise_type, case.snr],
        "part": setting.part,
        "seed": setting.seed,
        "lead": lead.name,
        "excluded": [[int(start), int(end)] for start, end in lead.excluded_intervals],
    }
    return content_key(what, lead.clean, lead.r_peaks)


def _measure(lead: EvaluationLead, cases: Sequence[_Case], setting: _Setting) -> list[Arrays]:
    """Return for each level decibels, shape ``(methods,)``, and changes of waves, ``(methods, measures, beats)``.

    The decibels are the SNR improvement; without added noise, the power of the error relative to the reference. They
    are NaN for a flat lead.
    """
    reference = remove_baseline_wander(lead.clean, lead.fs)
    if np.mean(np.square(reference)) < _FLAT_MV**2:
        return [{"decibels": np.full(len(case.methods), np.nan)} for case in cases]
    noise, noise_type = setting.noise, cases[0].noise_type
    unit = np.zeros(len(reference))
    if noise is not None and noise_type is not None:
        place = [setting.seed, zlib.crc32(lead.name.encode()), zlib.crc32(noise_type.encode())]
        unit = noise_for_lead(reference, noise, noise_type=noise_type, part=setting.part, seed=place)
    return [_measure_case(lead, case, reference, unit * 10 ** (-case.snr / 20), setting.model) for case in cases]


def _measure_case(
    lead: EvaluationLead, case: _Case, reference: np.ndarray, added: np.ndarray, model: CachedModel
) -> Arrays:
    noisy, methods = lead.clean + added, _methods(model, lead.fs)
    cleaned = {name: methods[name](noisy) for name in case.methods}
    errors = np.array([np.mean(np.square(output - reference)) for output in cleaned.values()])
    if case.noise_type is None:
        with np.errstate(divide="ignore"):  # the high-pass of the reference changes nothing
            decibels = 10 * np.log10(errors / np.mean(np.square(reference)))
    else:
        decibels = 10 * np.log10(np.mean(np.square(added)) / errors)
    found = {"decibels": decibels}
    if case.with_waves:
        changed = wave_changes(
            reference, cleaned, r_peaks=lead.r_peaks, fs=lead.fs, excluded_intervals=lead.excluded_intervals
        )
        if changed:
            found["waves"] = np.array(
                [[getattr(changed[name], item.name) for item in fields(Waves)] for name in cleaned]
            )
    return found


def _methods(model: CachedModel, fs: float) -> Mapping[str, Callable[[np.ndarray], np.ndarray]]:
    return {
        NO_FILTER: lambda signal: signal,
        EXACT_HIGHPASS: lambda signal: remove_baseline_wander(signal, fs),
        BANDPASS: lambda signal: bandpass(signal, fs),
        HIGHPASS_WAVELET: lambda signal: highpass_wavelet(signal, fs),
        CAREFUL_WAVELET: lambda signal: careful_wavelet(signal, fs),
        LSTM: lambda signal: model.denoise(signal, keep=False),
    }


def _noisy_cells(case: _Case, leads: Sequence[EvaluationLead], rows: Sequence[Arrays], seed: int) -> list[HarmCell]:
    table, records = _by_record(leads, rows)
    subjects = subjects_by_record(leads)
    if case.noise_type is None or not records:
        return []
    differences = table - table[:, [case.methods.index(EXACT_HIGHPASS)]]
    drawn = [subjects[record] for record in records]
    improvements, above = _means(table, drawn, seed), _means(differences, drawn, seed)
    return [
        HarmCell(
            noise_type=case.noise_type,
            snr=case.snr,
            method=method,
            improvement=improvements[number],
            worst_tenth=float(np.quantile(table[:, number], 0.1)),
            above_highpass=above[number],
            by_record=dict(zip(records, table[:, number].tolist(), strict=True)),
            by_database=_by_database(differences[:, number], records, subjects, seed),
            morphology=_morphology(rows, number),
        )
        for number, method in enumerate(case.methods)
    ]


def _clean_cells(leads: Sequence[EvaluationLead], rows: Sequence[Arrays], seed: int) -> list[CleanCell]:
    table, records = _by_record(leads, rows)
    subjects = subjects_by_record(leads)
    cells = []
    for number, method in enumerate(HARM_METHODS):
        changed = np.flatnonzero(np.isfinite(table[:, number]))
        values = table[changed, number]
        # The mean of decibels would be that of the records which are hardly changed.
        powers = 10 ** (values / 10)
        named = [records[row] for row in changed]
        drawn = [subjects[record] for record in named]
        by_database = _by_database(powers, named, subjects, seed)
        cells.append(
            CleanCell(
                method=method,
                change=_in_decibels(_means(powers[:, np.newaxis], drawn, seed)[0]) if len(values) else None,
                worst_tenth=float(np.quantile(values, 0.9)) if len(values) else None,
                by_record=dict(zip(named, values.tolist(), strict=True)),
                by_database={name: _in_decibels(mean) for name, mean in by_database.items()},
                morphology=_morphology(rows, number),
            )
        )
    return cells


def _in_decibels(power: Estimate) -> Estimate:
    return Estimate(*(float(10 * np.log10(value)) for value in astuple(power)))


def _by_record(leads: Sequence[EvaluationLead], rows: Sequence[Arrays]) -> tuple[np.ndarray, list[str]]:
    """Return decibels, shape ``(records, methods)``, and the names of the records, without flat leads."""
    kept = [number for number, row in enumerate(rows) if not np.isnan(row["decibels"]).any()]
    if not kept:
        return np.empty((0, len(HARM_METHODS))), []
    found = [leads[number] for number in kept]
    table = by_record(found, np.array([rows[number]["decibels"] for number in kept]), mean=True)
    return table, list(dict.fromkeys(lead.record for lead in found))


def _by_database(
    values: np.ndarray, records: Sequence[str], subjects: Mapping[str, str], seed: int
) -> dict[str, Estimate]:
    """Return the mean over the records of each database; empty for records of one database."""
    labels = np.array([subjects[record] for record in records])
    rows = {name: rows_of(records, database=name) for name in databases_of(records)}
    return {name: _means(values[row, np.newaxis], labels[row].tolist(), seed)[0] for name, row in rows.items()}


def _morphology(rows: Sequence[Arrays], method: int) -> MorphologyChange | None:
    waves = [Waves(*row["waves"][method]) for row in rows if "waves" in row]
    return summarize_changes(waves) if waves else None


def _means(table: np.ndarray, subjects: Sequence[str], seed: int) -> list[Estimate]:
    """Return the mean of each column over records with its interval; every value is finite."""
    return [found for found in bootstrap_means(table, seed=seed, subjects=subjects) if found is not None]
