"""Denoising without harm: noise for whole leads, and what methods do to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from ecg_study.ecg_data.databases.splits import TEST, VALIDATION
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise_records import NoiseRecords
from ecg_study.errors import DataError, InputError
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.harm import (
    HARM_LEVELS,
    HARM_METHODS,
    SINGLE_TYPE_METHODS,
    measure_harm,
    noise_for_lead,
)
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.evaluation.results.harm import EXACT_HIGHPASS, HarmCell
from ecg_study.evaluation.results.values import LSTM, NO_FILTER
from ecg_study.result_cache import ResultCache
from tests.recordings import bump_beats

FS = 360.0
MINUTE = round(60 * FS)


@pytest.fixture(scope="module")
def noise() -> NoiseRecords:
    """Return eight minutes of noise without slow parts, so that a high-pass leaves all of it."""
    rng = np.random.default_rng(0)
    signals = {
        name: remove_baseline_wander(rng.normal(0, 1, (2, 8 * MINUTE)), FS).T.astype(np.float32)
        for name in ("bw", "em", "ma")
    }
    return NoiseRecords(Path("noise"), FS, signals, {})


def _lead(name: str, seconds: int = 42, offset: float = 0.0) -> EvaluationLead:
    signal = np.tile(bump_beats(st_level=0.1), 2)[: seconds * 360] + offset
    peaks = np.concatenate([np.arange(1, 21), np.arange(22, 42)]) * 360
    return EvaluationLead(name, "II", FS, signal, signal, peaks, ())


def _model(denoise: Callable[[np.ndarray], np.ndarray], *, calls: list[int] | None = None) -> CachedModel:
    def counted(signal: np.ndarray, *, keep: bool) -> np.ndarray:
        assert not keep
        if calls is not None:
            calls.append(len(signal))
        return denoise(signal)

    made: Any = SimpleNamespace(removes_baseline_wander=True, identity={"model": "it"}, denoise=counted)
    return cast(CachedModel, made)


def _highpass(signal: np.ndarray) -> np.ndarray:
    return remove_baseline_wander(signal, FS)


def _cell(cells: list[HarmCell], method: str, snr: int) -> HarmCell:
    return next(cell for cell in cells if (cell.method, cell.snr) == (method, snr))


def test_noise_has_the_power_of_the_reference_in_each_window(noise: NoiseRecords) -> None:
    rng = np.random.default_rng(1)
    loud = np.repeat([1.0, 0.1, 3.0, 0.5], 3600) * rng.normal(0, 1, 4 * 3600)
    added = noise_for_lead(loud, noise, noise_type="em", part=TEST, seed=[1])
    assert len(added) == len(loud)
    for start in range(0, len(loud), 3600):
        inside = slice(start + 36, start + 3600)  # after the cross-fade
        assert np.mean(added[inside] ** 2) == pytest.approx(np.mean(loud[start : start + 3600] ** 2), rel=0.03)
        assert abs(added[inside].mean()) < 0.02 * added[inside].std()


def test_neighboring_windows_are_joined_without_a_step_at_constant_power(noise: NoiseRecords) -> None:
    slow = NoiseRecords(
        Path("noise"),
        FS,
        {name: np.cumsum(signal, axis=0, dtype=np.float32) for name, signal in noise.signals.items()},
        {},
    )
    added = noise_for_lead(np.ones(60 * 3600), slow, noise_type="bw", part=TEST, seed=[1])
    steps = np.abs(np.diff(added))
    at_borders = np.concatenate([steps[border - 3 : border + 40] for border in range(3600, 60 * 3600, 3600)])
    assert at_borders.max() < 1.5 * np.quantile(steps, 0.9999)
    white = noise_for_lead(np.ones(60 * 3600), noise, noise_type="bw", part=TEST, seed=[1])
    faded = np.concatenate([white[border : border + 36] for border in range(3600, 60 * 3600, 3600)])
    assert np.mean(faded**2) == pytest.approx(1, rel=0.06)


def test_each_part_has_its_own_noise(noise: NoiseRecords) -> None:
    reference = np.ones(3600)
    test, validation = (
        noise_for_lead(reference, noise, noise_type="ma", part=part, seed=[1]) for part in (TEST, VALIDATION)
    )
    assert np.abs(np.corrcoef(test, validation)[0, 1]) < 0.1


def test_improvements_by_hand(noise: NoiseRecords) -> None:
    """Our model halves the error of the high-pass: 6.02 dB more, whatever the level."""
    leads = [_lead("a"), _lead("b"), _lead("c")]
    exact = _highpass(leads[0].clean)
    model = _model(lambda signal: exact + 0.5 * (_highpass(signal) - exact))
    section = measure_harm(model, leads, noise=noise, part=TEST, noise_types=("mix",), seed=1)
    assert [(cell.snr, cell.method) for cell in section.noisy] == [(s, m) for s in HARM_LEVELS for m in HARM_METHODS]
    for snr in HARM_LEVELS:
        highpass, ours = _cell(section.noisy, EXACT_HIGHPASS, snr), _cell(section.noisy, LSTM, snr)
        assert highpass.improvement.value == pytest.approx(0, abs=0.2), "the noise has next to nothing below 0.5 Hz"
        assert highpass.above_highpass.value == 0
        assert ours.above_highpass.value == pytest.approx(20 * np.log10(2))
        assert ours.worst_tenth == pytest.approx(np.quantile(list(ours.by_record.values()), 0.1))
        assert list(ours.by_record) == ["a", "b", "c"]
        assert (ours.morphology is not None) == (snr in (24, 6))
    noisy = _cell(section.noisy, LSTM, 6).morphology
    assert noisy is not None
    assert noisy.beats == 3 * 40


def test_a_single_type_of_noise_is_measured_with_fewer_methods_and_without_waves(noise: NoiseRecords) -> None:
    section = measure_harm(_model(_highpass), [_lead("a")], noise=noise, part=TEST, noise_types=("em", "mix"), seed=1)
    cells = {name: [cell for cell in section.noisy if cell.noise_type == name] for name in ("em", "mix")}
    assert [(cell.snr, cell.method) for cell in cells["em"]] == [
        (snr, method) for snr in HARM_LEVELS for method in SINGLE_TYPE_METHODS
    ]
    assert len(cells["mix"]) == len(HARM_LEVELS) * len(HARM_METHODS)
    assert all(cell.morphology is None for cell in cells["em"])
    for cell in cells["em"]:
        if cell.method in (EXACT_HIGHPASS, LSTM):
            assert cell.above_highpass.value == 0, "our model is the high-pass"


def test_without_noise_an_offset_and_a_wrong_scale_are_seen() -> None:
    leads = [_lead("a", offset=5.0), _lead("b", offset=-3.0)]
    section = measure_harm(_model(lambda s: 1.1 * _highpass(s)), leads, noise=None, part=TEST, seed=1)
    assert section.noisy == []
    by_method = {cell.method: cell for cell in section.clean}
    assert by_method[EXACT_HIGHPASS].change is None, "it is the reference"
    ours = by_method[LSTM]
    assert ours.change is not None
    assert ours.change.value == pytest.approx(-20), "a tenth of the amplitude is a hundredth of the power"
    assert ours.worst_tenth == pytest.approx(-20)
    untouched = by_method[NO_FILTER].change
    assert untouched is not None and untouched.value > 10, "the offsets remain"
    assert ours.morphology is not None
    change = ours.morphology.changes["r_amplitude"]
    assert change is not None and change.median == pytest.approx(0.1, abs=0.01)


def test_the_change_without_noise_is_the_mean_of_powers() -> None:
    """A hundredth and a millionth of the power are 0.5 % on average: -23 dB, while the mean of decibels is -40."""
    leads = [_lead("a", offset=5.0), _lead("b", offset=-3.0)]

    def denoise(signal: np.ndarray) -> np.ndarray:
        return (1.1 if signal.mean() > 0 else 1.001) * _highpass(signal)

    model = _model(denoise)
    section = measure_harm(model, leads, noise=None, part=TEST, seed=1)
    ours = next(cell for cell in section.clean if cell.method == LSTM)
    assert ours.change is not None
    assert ours.change.value == pytest.approx(10 * np.log10((1e-2 + 1e-6) / 2), abs=1e-3)
    assert ours.change.low == pytest.approx(-60, abs=1e-3) and ours.change.high == pytest.approx(-20, abs=1e-3)
    assert ours.by_record == {"a": pytest.approx(-20), "b": pytest.approx(-60, abs=1e-3)}


def test_results_are_kept_and_flat_leads_are_left_out(noise: NoiseRecords, tmp_path: Path) -> None:
    flat = _lead("flat")
    leads = [_lead("a"), EvaluationLead("flat", "II", FS, np.zeros(15120), np.zeros(15120), flat.r_peaks, ())]
    calls: list[int] = []
    done: list[tuple[int, int]] = []
    model, store = _model(_highpass, calls=calls), ResultCache(tmp_path)

    def measure() -> Any:
        return measure_harm(
            model,
            leads,
            noise=noise,
            part=TEST,
            noise_types=("mix",),
            seed=1,
            store=store,
            progress=lambda _, step, total: done.append((step, total)),
        )

    first = measure()
    assert len(calls) == 1 + len(HARM_LEVELS), "only the lead that is not flat"
    assert measure() == first
    assert len(calls) == 1 + len(HARM_LEVELS), "nothing is computed again"
    assert done[-1] == (14, 14)
    assert {tuple(cell.by_record) for cell in first.noisy} == {("a",)}


def test_unsuitable_models_and_noise_are_refused(noise: NoiseRecords) -> None:
    keeps: Any = SimpleNamespace(removes_baseline_wander=False)
    with pytest.raises(InputError, match="the denoiser keeps baseline wander; one that removes it is needed"):
        measure_harm(keeps, [_lead("a")], noise=None, part=TEST, seed=1)
    other = NoiseRecords(Path("noise"), 250.0, noise.signals, {})
    with pytest.raises(DataError, match="noise: has 250 Hz, but the records have 360 Hz"):
        measure_harm(_model(_highpass), [_lead("a")], noise=other, part=TEST, seed=1)


def test_several_databases_have_means_of_their_own(noise: NoiseRecords) -> None:
    """Half of what is left is removed, so every record is 6 dB above the high-pass, and half of the signal too."""
    leads = [_lead("mitdb/a"), _lead("mitdb/b", offset=1.0), _lead("qtdb/c")]
    reference = _highpass(leads[0].clean)
    halved = _model(lambda s: reference + (_highpass(s) - reference) / 2)
    section = measure_harm(halved, leads, noise=noise, part=TEST, noise_types=("mix",), seed=1)
    ours = _cell(section.noisy, LSTM, 6)
    assert list(ours.by_database) == ["mitdb", "qtdb"]
    values = np.array(list(ours.by_record.values()))
    above = values - np.array(list(_cell(section.noisy, EXACT_HIGHPASS, 6).by_record.values()))
    assert ours.by_database["mitdb"].value == pytest.approx(above[:2].mean())
    assert ours.by_database["qtdb"].value == pytest.approx(above[2])
    scaled = measure_harm(_model(lambda s: 1.1 * _highpass(s)), leads, noise=None, part=TEST, seed=1)
    clean = {cell.method: cell for cell in scaled.clean}
    assert {name: round(item.value) for name, item in clean[LSTM].by_database.items()} == {"mitdb": -20, "qtdb": -20}
    assert clean[EXACT_HIGHPASS].by_database == {}
