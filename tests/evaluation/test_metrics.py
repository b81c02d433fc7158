"""Tests of the metrics: hand-worked cases, and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from ecg_study.ecg_data.noise import gaussian_noise
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.evaluation.baselines.detectors import detect_r_peaks
from ecg_study.evaluation.baselines.filters import lowpass, wavelet
from ecg_study.evaluation.matching import match_r_peaks
from ecg_study.evaluation.metrics import (
    bootstrap,
    bootstrap_means,
    confusion,
    counts,
    denoising,
    paired_difference,
    pooled_f1,
)


def test_denoising_by_hand() -> None:
    clean = np.array([0.0, 1.0, 0.0, -1.0])
    noisy = clean + np.array([0.2, -0.2, 0.2, -0.2])
    half = clean + np.array([0.1, -0.1, 0.1, -0.1])
    result = denoising(clean, half, noisy=noisy, fs=360)
    assert result.mae == pytest.approx(0.1)
    assert result.rmse == pytest.approx(0.1)
    assert result.snr_improvement == pytest.approx(20 * np.log10(2))
    assert denoising(clean, noisy, noisy=noisy, fs=360).snr_improvement == 0
    assert denoising(clean, half, noisy=clean, fs=360).snr_improvement is None
    assert result.prd == pytest.approx(100 * np.sqrt(0.04 / 2))
    assert result.cosine == pytest.approx(2.0 / np.sqrt(2 * (0.1**2 + 0.9**2 + 0.1**2 + 1.1**2)))
    assert result.ssd == pytest.approx(0.04 * 360 / 4)
    assert result.mad == pytest.approx(0.1)
    undefined = denoising(np.zeros(4), half, noisy=noisy, fs=360)
    assert (undefined.prd, undefined.cosine) == (None, None)


def test_counts_by_hand() -> None:
    result = counts((90, 10, 30))
    assert (result.sensitivity, result.precision) == (0.9, 0.75)
    assert result.f1 == pytest.approx(2 * 0.9 * 0.75 / 1.65)
    assert counts((0, 0, 0)).f1 == 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_windows_agree_with_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    labels, found = (np.array(column) for column in zip(*pairs, strict=True))
    ours = confusion(labels, found)
    assert ours.accuracy == pytest.approx(accuracy_score(labels, found))
    assert ours.counts.precision == pytest.approx(precision_score(labels, found, zero_division=0))
    assert ours.counts.sensitivity == pytest.approx(recall_score(labels, found, zero_division=0))
    assert ours.counts.f1 == pytest.approx(f1_score(labels, found, zero_division=0))
    if (~labels).any():
        assert ours.specificity == pytest.approx(recall_score(~labels, ~found))
    else:
        assert ours.specificity is None


def test_bootstrap_over_records() -> None:
    table = np.array([[99, 1, 0]] * 10)
    same = bootstrap(table, pooled_f1, seed=1)
    assert same.low == same.value == same.high == pytest.approx(198 / 199)
    table[0] = [50, 50, 0]
    one_bad = bootstrap(table, pooled_f1, seed=1)
    assert one_bad.low < one_bad.value < one_bad.high
    assert one_bad == bootstrap(table, pooled_f1, seed=1)
    normal = np.random.default_rng(0).normal(0, 1, (400, 1))
    interval = bootstrap(normal, lambda rows: float(rows.mean()), seed=1)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 20, rel=0.15)


def test_bootstrap_draws_subjects_with_all_their_records() -> None:
    """A person who is there twice, as in an excerpt, narrows no interval and adds no subject."""
    once = np.random.default_rng(0).normal(size=(7, 2))
    names = [f"p{number}" for number in range(7)]
    twice, subjects = np.concatenate([once, once]), [*names, *names]
    for ours, theirs in zip(
        bootstrap_means(twice, seed=3, subjects=subjects), bootstrap_means(once, seed=3), strict=True
    ):
        assert ours is not None and theirs is not None
        assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high))
    alone = bootstrap(twice, lambda rows: float(rows[:, 0].mean()), seed=3)
    together = bootstrap(twice, lambda rows: float(rows[:, 0].mean()), seed=3, subjects=subjects)
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(2**0.5, rel=0.1)
    few = paired_difference(
        "F1",
        model=("a", np.array([[99, 1, 0]] * 10)),
        reference=("b", np.array([[90, 10, 0]] * 10)),
        statistic=pooled_f1,
        seed=1,
        subjects=[f"p{number // 2}" for number in range(10)],
    )
    assert few.significant is None, "ten records of five subjects"
    with pytest.raises(ValueError, match="2 subjects of 7 rows"):
        bootstrap_means(once, seed=1, subjects=["a", "b"])


@pytest.mark.parametrize("method", [lambda x: lowpass(x, 360), wavelet])
def test_filters_remove_noise_and_move_nothing(method: object, raw_dir: Path) -> None:
    assert callable(method)
    clean = read_record(raw_dir / "s02").signal[:, 0]
    noisy = clean + gaussian_noise(len(clean), sigma_mv=0.05, seed=1, record="s02", lead="MLII")
    for samples in (len(clean), len(clean) - 3):
        cleaned = method(noisy[:samples])
        assert cleaned.shape == (samples,)
        assert denoising(clean[:samples], cleaned, noisy=noisy[:samples], fs=360).rmse < 0.028
        assert np.argmax(np.correlate(cleaned[:2000], clean[:2000], "full")) == 1999


def test_classical_methods_do_as_published(real_data: Path) -> None:
    """One record of MIT-BIH; the values of the whole database were verified as well."""
    record = read_record(real_data / "mitdb" / "100")
    clean = record.signal[:, 0]
    noisy = clean + gaussian_noise(len(clean), sigma_mv=0.05, seed=1, record="100", lead="MLII")
    assert denoising(clean, wavelet(noisy), noisy=noisy, fs=360).rmse == pytest.approx(0.0255, abs=0.006)
    found = detect_r_peaks("wfdb xqrs", clean, fs=360)
    assert found.error == ""
    assert counts(match_r_peaks(record.r_peaks, found.samples, tolerance=54).table).f1 > 0.999


def test_a_difference_is_significant_if_its_interval_excludes_0() -> None:
    good, bad = np.array([[99, 1, 0]] * 6), np.array([[90, 10, 0]] * 6)
    better = paired_difference("F1", model=("a", good), reference=("b", bad), statistic=pooled_f1, seed=1)
    assert better.difference.low > 0
    assert (better.model, better.reference, better.significant) == ("a", "b", True)
    assert better.model_value == bootstrap(good, pooled_f1, seed=1)
    worse = paired_difference("F1", model=("b", bad), reference=("a", good), statistic=pooled_f1, seed=1)
    assert (worse.difference.value, worse.significant) == (-better.difference.value, True)
    same = paired_difference("F1", model=("a", good), reference=("a", good), statistic=pooled_f1, seed=1)
    assert same.significant is False
    few = paired_difference("F1", model=("a", good[:5]), reference=("b", bad[:5]), statistic=pooled_f1, seed=1)
    assert few.difference.low > 0
    assert few.significant is None, "five records are too few, whatever the interval"


def test_a_lower_error_is_a_positive_difference() -> None:
    low, high = np.full((6, 1), 0.1), np.full((6, 1), 0.3)
    found = paired_difference(
        "RMSE",
        model=("a", low),
        reference=("b", high),
        statistic=lambda rows: float(rows.mean()),
        lower_is_better=True,
        seed=1,
    )
    assert found.difference.value == pytest.approx(0.2)
