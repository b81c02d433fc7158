"""Tests of the classical methods: their results, and the result cache."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import wfdb.processing
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import gaussian_noise
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.errors import StateError
from ecg_study.evaluation.baselines.detectors import DETECTOR_NAMES, XQRS, detect_r_peaks, local_peaks
from ecg_study.evaluation.baselines.filters import (
    BASELINE_WANDER_FILTERS,
    CAREFUL_WAVELET,
    FILTERS,
    Filter,
    careful_wavelet,
)
from ecg_study.evaluation.baselines.runner import ClassicalDetectors
from ecg_study.evaluation.matching import match_r_peaks
from ecg_study.evaluation.metrics import counts, denoising
from ecg_study.result_cache import ResultCache, content_key


@pytest.mark.parametrize("name", DETECTOR_NAMES)
def test_every_detector_finds_the_beats_of_a_clean_record(name: str, raw_dir: Path) -> None:
    record = read_record(raw_dir / "s02")
    found = detect_r_peaks(name, record.signal[:, 0], fs=record.fs)
    assert found.error == ""
    assert found.samples.dtype == np.int64
    assert (np.diff(found.samples) > 0).all()
    assert counts(match_r_peaks(record.r_peaks, found.samples, tolerance=54).table).f1 > 0.9


@given(
    signal=arrays(np.float64, st.integers(31, 150), elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])),
    radius=st.integers(1, 30),  # wfdb's function fails on a shorter signal
)
@settings(max_examples=200, deadline=None)
def test_local_peaks_are_those_of_wfdb(signal: np.ndarray, radius: int) -> None:
    np.testing.assert_array_equal(local_peaks(signal, radius), wfdb.processing.find_local_peaks(signal, radius))


def test_xqrs_is_that_of_wfdb(raw_dir: Path) -> None:
    for name in ("s02", "s05"):
        signal = read_record(raw_dir / name).signal[:, 0].astype(np.float64)
        signal += gaussian_noise(len(signal), sigma_mv=0.1, seed=1, record=name, lead="MLII")
        theirs = wfdb.processing.xqrs_detect(signal, 360, verbose=False)
        np.testing.assert_array_equal(detect_r_peaks(XQRS, signal, fs=360).samples, theirs)
    assert wfdb.processing.qrs.find_local_peaks is wfdb.processing.find_local_peaks, "restored"


@pytest.mark.parametrize("name", DETECTOR_NAMES)
@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_flat_signal_gives_no_beats_or_says_why(name: str, value: float) -> None:
    found = detect_r_peaks(name, np.full(3600, value, np.float32), fs=360)
    assert found.error or len(found) <= 1
    assert "\n" not in found.error


CAREFUL = Filter(CAREFUL_WAVELET, careful_wavelet, "")


@pytest.mark.parametrize("method", [*FILTERS, *BASELINE_WANDER_FILTERS, CAREFUL], ids=lambda item: item.name)
def test_filters_take_leads_and_segments_alike_and_move_nothing(method: Filter, raw_dir: Path) -> None:
    clean = remove_baseline_wander(read_record(raw_dir / "s02").signal[:, 0], 360)
    noisy = clean + gaussian_noise(len(clean), sigma_mv=0.02, seed=1, record="s02", lead="MLII")
    for samples in (len(clean), len(clean) - 3):
        cleaned = method.apply(noisy[:samples], 360)
        assert cleaned.shape == (samples,)
        # The mains filter of neurokit2 runs one way, and is late by a sample or two.
        assert abs(np.argmax(np.correlate(cleaned[:2000], clean[:2000], "full")) - 1999) <= 4
    rows = noisy[:7200].reshape(4, 1800)
    together = method.apply(rows, 360)
    for row, cleaned in zip(rows, together, strict=True):
        np.testing.assert_allclose(method.apply(row, 360), cleaned, atol=1e-6)


@pytest.mark.parametrize("method", FILTERS[:3], ids=lambda item: item.name)
@given(factor=st.floats(0.1, 10))
@settings(max_examples=5, deadline=None)
def test_filters_are_linear_in_amplitude(method: Filter, factor: float, raw_dir: Path) -> None:
    signal = read_record(raw_dir / "s02").signal[:3600, 0].astype(np.float64)
    np.testing.assert_allclose(method.apply(factor * signal, 360), factor * method.apply(signal, 360), atol=1e-6)


def test_the_filters_for_white_noise_remove_it(raw_dir: Path) -> None:
    clean = read_record(raw_dir / "s02").signal[:, 0]
    noisy = clean + gaussian_noise(len(clean), sigma_mv=0.05, seed=1, record="s02", lead="MLII")
    for item in (FILTERS[0], FILTERS[2]):
        assert denoising(clean, item.apply(noisy, 360), noisy=noisy, fs=360).rmse < 0.028


def test_the_careful_wavelet_leaves_a_clean_signal_and_removes_some_noise(raw_dir: Path) -> None:
    record = read_record(raw_dir / "s02")
    clean = record.signal[:, 0].astype(np.float64) + 3.0
    reference = remove_baseline_wander(clean, record.fs)
    unchanged = np.mean((careful_wavelet(clean, record.fs) - reference) ** 2) / np.mean(reference**2)
    assert unchanged < 1e-3
    noise = np.random.default_rng(1).normal(0, 0.1, len(clean))
    left = np.mean((careful_wavelet(clean + noise, record.fs) - reference) ** 2)
    kept = np.mean(remove_baseline_wander(noise, record.fs) ** 2)
    # Normal noise after a soft threshold at t = 0.3 deviations has 2 ((1 + t²) Φ(-t) - t φ(t)) of its power, 0.60.
    assert 0.55 < left / kept < 0.72


def test_results_are_kept_by_the_content_of_the_signal(
    tmp_path: Path, raw_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = read_record(raw_dir / "s02")
    signal = record.signal[:, 0]
    reported: list[tuple[str, int, int]] = []
    detectors = ClassicalDetectors(ResultCache(tmp_path), lambda *step: reported.append(step))
    first = detectors.detect({"a": signal}, ["sleepecg"], fs=360, label="Leads")
    assert reported == [("Leads", 1, 1)]
    assert len(first["a"]["sleepecg"].samples) > 20

    def computed(*_: object, **__: object) -> None:
        pytest.fail("computed again")

    monkeypatch.setattr("ecg_study.evaluation.baselines.runner.detect_r_peaks", computed)
    second = ClassicalDetectors(ResultCache(tmp_path), lambda *_: None)
    again = second.detect({"b": signal.copy()}, ["sleepecg"], fs=360, label="")
    np.testing.assert_array_equal(again["b"]["sleepecg"].samples, first["a"]["sleepecg"].samples)
    changed = signal.copy()
    changed[100] += 0.001
    with pytest.raises(pytest.fail.Exception):
        detectors.detect({"a": changed}, ["sleepecg"], fs=360, label="")
    with pytest.raises(pytest.fail.Exception):
        detectors.detect({"a": signal}, ["sleepecg"], fs=250, label="")


@pytest.mark.slow
def test_processes_find_the_same(tmp_path: Path, raw_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leads = {name: read_record(raw_dir / name).signal[:, 0] for name in ("s01", "s02", "s03", "s04", "s05", "s06")}
    here = ClassicalDetectors(ResultCache(tmp_path / "a"), lambda *_: None)
    expected = here.detect(leads, ["sleepecg"], fs=360, label="")
    monkeypatch.setattr("ecg_study.evaluation.baselines.runner._WORTH_PROCESSES", 0)
    monkeypatch.setattr("ecg_study.evaluation.baselines.runner.os.cpu_count", lambda: 2)
    elsewhere = ClassicalDetectors(ResultCache(tmp_path / "b"), lambda *_: None)
    found = elsewhere.detect({"s01": leads["s01"]}, ["sleepecg"], fs=360, label="")
    first = _worker_pids(elsewhere)
    others = {name: leads[name] for name in leads if name != "s01"}
    found |= elsewhere.detect(others, ["sleepecg"], fs=360, label="")
    assert _worker_pids(elsewhere) == first, "kept between calls: sleepecg frees its memory"
    for name in leads:
        np.testing.assert_array_equal(expected[name]["sleepecg"].samples, found[name]["sleepecg"].samples)
    monkeypatch.setattr("ecg_study.evaluation.baselines.runner.LEAKS_MEMORY", {"gqrs", "sleepecg"})
    elsewhere.detect({"s02": leads["s02"] + 1}, ["sleepecg"], fs=360, label="")
    leaking = _worker_pids(elsewhere)
    elsewhere.detect({"s01": leads["s01"] + 1}, ["Hamilton"], fs=360, label="")
    assert not leaking & _worker_pids(elsewhere), "replaced for work that does not leak memory"
    elsewhere.close()


def test_a_worker_that_leaks_memory_is_replaced(tmp_path: Path, raw_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a negative limit, every worker is replaced once it is older than loky's check interval of one second."""
    monkeypatch.setenv("LOKY_MAX_MEMORY_LEAK_SIZE", "-1e12")
    monkeypatch.setattr("ecg_study.evaluation.baselines.runner._WORTH_PROCESSES", 0)
    monkeypatch.setattr("ecg_study.evaluation.baselines.runner.os.cpu_count", lambda: 1)
    detectors = ClassicalDetectors(ResultCache(tmp_path), lambda *_: None)
    lead = read_record(raw_dir / "s01").signal[:, 0]
    detectors.detect({"a": lead}, ["sleepecg"], fs=360, label="")
    first = _worker_pids(detectors)
    for attempt in range(20):
        time.sleep(1.1)
        leads = {f"{attempt} {number}": lead + attempt + number / 10 for number in range(3)}
        found = detectors.detect(leads, ["sleepecg"], fs=360, label="")
        assert all(len(item["sleepecg"]) > 20 for item in found.values()), "no lead is lost when a worker is replaced"
        if not first & _worker_pids(detectors):
            break
    else:
        pytest.fail("the worker was not replaced")
    detectors.close()


def _worker_pids(detectors: ClassicalDetectors) -> set[int]:
    assert detectors._pool is not None
    return set(detectors._pool._processes)


@pytest.mark.slow
def test_a_killed_process_is_one_error_line(tmp_path: Path, raw_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.evaluation.baselines.runner._WORTH_PROCESSES", 0)
    monkeypatch.setattr("ecg_study.evaluation.baselines.runner.os.cpu_count", lambda: 2)
    detectors = ClassicalDetectors(ResultCache(tmp_path), lambda *_: None)
    lead = read_record(raw_dir / "s01").signal[:, 0]
    detectors.detect({"a": lead}, ["sleepecg"], fs=360, label="")
    for pid in _worker_pids(detectors):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(StateError, match=r"was killed .* run the same command again"):
        detectors.detect({f"{number}": lead + number for number in range(1, 9)}, ["sleepecg"], fs=360, label="")
    detectors.close()


def test_a_damaged_result_is_computed_again_and_an_unused_one_goes(tmp_path: Path) -> None:
    store = ResultCache(tmp_path)
    keys = [content_key({"a": number}, np.arange(3)) for number in range(3)]
    for number, key in enumerate(keys):
        store.put(key, {"value": np.array(number)})
    found = store.get(keys[1])
    assert found is not None
    assert found["value"] == 1
    path = next(tmp_path.glob(f"*/{keys[2]}.npz"))
    path.write_bytes(path.read_bytes()[:50])
    assert store.get(keys[2]) is None
    later = ResultCache(tmp_path)
    later.get(keys[0])
    later.remove_unused()
    assert [path.stem for path in tmp_path.glob("*/*.npz")] == [keys[0]]
    assert content_key({"a": 1}, np.arange(3)) != content_key({"a": 1}, np.arange(3.0)), "the type of an array counts"
