"""Tests of the experiments on whole leads, with hand-worked signals."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import wfdb
from sklearn.metrics import average_precision_score, roc_auc_score

from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.noise import NoiseSource
from ecg_study.ecg_data.noise_stress import add_electrode_motion
from ecg_study.evaluation.baselines.detectors import BaselinePeaks
from ecg_study.evaluation.experiments.denoising import excerpt_around
from ecg_study.evaluation.experiments.failures import (
    ECTOPIC,
    EXTRA,
    FLAT,
    MISSED,
    NOISE,
    SMALL,
    T_WAVES,
    worst_excerpts,
)
from ecg_study.evaluation.experiments.r_peaks import (
    jitter_edges,
    measure_jitter,
    paired_comparisons,
    peaks_by_record,
    summarize_peaks,
)
from ecg_study.evaluation.experiments.windows import summarize_windows, windows_by_record
from ecg_study.evaluation.leads import EvaluationLead, by_record
from ecg_study.evaluation.metrics import bootstrap, bootstrap_means, mean_denoising
from ecg_study.evaluation.results.values import GRU, NOISY, peak_f1_metric
from ecg_study.evaluation.thresholds import best_thresholds, threshold_inputs
from ecg_study.inference.r_peaks import RPeaks
from tests.conftest import WriteRecord
from tests.recordings import bump_beats

FS = 360.0


PEAKS = (np.arange(1, 21) * FS).astype(np.int64)


def _lead(
    r_peaks: np.ndarray = PEAKS, minutes: float = 0.35, excluded_intervals: tuple[tuple[int, int], ...] = ()
) -> EvaluationLead:
    signal = np.zeros(round(minutes * 60 * FS), np.float32)
    return EvaluationLead("r", "II", FS, signal, signal, r_peaks, excluded_intervals)


def test_counts_with_and_without_the_first_five_minutes() -> None:
    minute = round(60 * FS)
    peaks = np.arange(1, 10) * minute  # one a minute; the fifth, at 5:00, is the first that counts
    found = np.delete(peaks, [0, 7])  # misses the first and the eighth
    lead = _lead(peaks, 10)
    rows = peaks_by_record([lead], {(GRU, NOISY): [BaselinePeaks.at(found)]})
    assert rows[0].counts[150] == (7, 2, 0)
    assert rows[0].counts_after_learning[150] == (4, 1, 0)
    summaries = summarize_peaks([lead], rows, seed=1)
    assert {(item.after_learning, item.tolerance_ms) for item in summaries} == {
        (skipped, ms) for skipped in (False, True) for ms in (150, 75, 50)
    }
    short = summarize_peaks([_lead()], peaks_by_record([_lead()], {(GRU, NOISY): [BaselinePeaks.at(PEAKS)]}), seed=1)
    assert {item.after_learning for item in short} == {False}


def test_gross_and_average_by_hand() -> None:
    leads = [_lead(), _lead()]
    leads[1] = EvaluationLead("s", "II", FS, leads[1].clean, leads[1].noisy, PEAKS[:4], ())
    found = [BaselinePeaks.at(PEAKS), BaselinePeaks.at(PEAKS[:2])]
    (summary,) = [
        item
        for item in summarize_peaks(leads, peaks_by_record(leads, {(GRU, NOISY): found}), seed=1)
        if item.tolerance_ms == 150
    ]
    assert summary.counts.sensitivity == pytest.approx(22 / 24)
    assert summary.mean_sensitivity == pytest.approx((1 + 0.5) / 2)
    assert summary.mean_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert summary.mean_precision == 1


def test_jitter_and_tolerances_by_hand() -> None:
    shift = 20  # samples: 56 ms
    found = {(GRU, NOISY): [BaselinePeaks.at(PEAKS + shift)], ("other", NOISY): [BaselinePeaks.at(PEAKS)]}
    leads = [_lead()]
    jitter = {item.detector: item for item in measure_jitter(leads, found)}
    assert jitter[GRU].median == pytest.approx(1000 * shift / FS)
    assert jitter[GRU].spread == 0
    edges = jitter_edges(FS)
    assert len(edges) == len(jitter[GRU].counts) + 1
    at = jitter[GRU].counts.index(20)
    assert edges[at] < 1000 * shift / FS < edges[at + 1]
    comparisons = paired_comparisons(leads, peaks_by_record(leads, found), seed=1)
    assert [item.metric for item in comparisons] == [peak_f1_metric(ms) for ms in (150, 75, 50)]
    assert [(item.model, item.reference) for item in comparisons] == [(GRU, "other")] * 3
    assert [item.difference.value for item in comparisons] == [0, 0, -1]
    assert comparisons[2].significant is None, "one record is too few"


def _candidates(samples: np.ndarray, confidences: np.ndarray) -> RPeaks:
    return RPeaks(samples, confidences)


def test_thresholds_are_chosen_under_every_noise_together() -> None:
    """With the first noise any threshold up to 0.4 is right; the second lets 60 false peaks of 0.2 through."""
    lead = EvaluationLead("r", "MLII", FS, bump_beats(), bump_beats(), PEAKS, ())
    scores = np.ones(52)
    truth = _candidates(PEAKS, np.full(20, 0.41))
    between = np.sort(np.concatenate([PEAKS[:-1] + step for step in (90, 160, 230)]))
    samples = np.sort(np.concatenate([PEAKS, between]))
    noisy = _candidates(samples, np.where(np.isin(samples, PEAKS), 0.61, 0.2))
    alone = best_thresholds([lead], [[truth]], window_scores=[[scores]], window=144, seed=1)["r_peak"]
    assert alone == pytest.approx(0.2), "the middle of 0.02 to 0.4"
    both = best_thresholds([lead], [[truth, noisy]], window_scores=[[scores, scores]], window=144, seed=1)
    together = both["r_peak"]
    assert together == pytest.approx(0.3), "the middle of 0.22 to 0.4"


def test_threshold_inputs_have_motion_with_recorded_noise() -> None:
    signal = np.tile(bump_beats(), 20)
    peaks = np.concatenate([PEAKS + len(bump_beats()) * n for n in range(20)])
    lead = EvaluationLead("r", "MLII", FS, signal, signal + 1, peaks, ())
    assert len(threshold_inputs(lead, None)) == 1
    em = np.random.default_rng(1).normal(0, 1, (3600, 2))
    source = NoiseSource({"em": [em]})
    plain, moved = threshold_inputs(lead, source)
    expected = add_electrode_motion(lead.clean, lead.r_peaks, source=source, fs=lead.fs, snr_db=12)
    np.testing.assert_array_equal(plain, lead.noisy)
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_allclose(moved[: 300 * 360], signal[: 300 * 360], atol=1e-6)
    added = (moved - signal)[310 * 360 : 400 * 360]
    # A sine as high as the complex, 1 mV from top to bottom, has a power of 1/8 mV².
    assert 10 * np.log10(1 / 8 / np.var(added)) == pytest.approx(12, abs=0.5)


def test_curves_agree_with_scikit_learn_and_calibration_adds_up() -> None:
    rng = np.random.default_rng(0)
    lead = _lead(np.sort(rng.choice(7000, 20, replace=False)))
    labels, _ = lead.window_labels(144)
    scores = np.clip(0.5 * labels + rng.normal(0.25, 0.2, len(labels)), 0, 1)
    detected = {NOISY: [scores]}
    rows = windows_by_record([lead], detected, threshold=0.5, window=144)
    (summary,) = summarize_windows([lead], detected, rows=rows, window=144, seed=1)
    assert summary.roc_area == pytest.approx(roc_auc_score(labels, scores))
    assert summary.average_precision == pytest.approx(average_precision_score(labels, scores))
    assert summary.brier == pytest.approx(np.mean((scores - labels) ** 2))
    assert sum(item.windows for item in summary.calibration) == len(labels)
    total = sum(item.observed * item.windows for item in summary.calibration)
    assert total == pytest.approx(labels.sum())
    assert summary.confusion.counts.true_positives == int(np.sum(labels & (scores >= 0.5)))
    x, y = zip(*summary.roc, strict=True)
    assert (summary.roc[0], summary.roc[-1]) == ((0, 0), (1, 1))
    assert list(x) == sorted(x)
    assert np.trapezoid(y, x) == pytest.approx(summary.roc_area, abs=0.005), "thinned, it is still that curve"


def test_windows_with_one_label_have_no_roc() -> None:
    lead = _lead(np.empty(0, np.int64))
    detected = {NOISY: [np.zeros(52)]}
    with pytest.warns(UserWarning, match="No positive"):
        rows = windows_by_record([lead], detected, threshold=0.5, window=144)
        (summary,) = summarize_windows([lead], detected, rows=rows, window=144, seed=1)
    assert summary.roc_area is None


def test_bootstrap_means_equal_separate_bootstraps() -> None:
    table = np.random.default_rng(0).normal(size=(9, 3))
    together = bootstrap_means(table, seed=7)
    for column, interval in enumerate(together):
        alone = bootstrap(table[:, [column]], lambda rows: float(rows.mean()), seed=7)
        assert interval is not None
        assert (interval.value, interval.low, interval.high) == pytest.approx((alone.value, alone.low, alone.high))
    table[0, 1] = np.nan
    assert [item is None for item in bootstrap_means(table, seed=7)] == [False, True, False]
    assert set(mean_denoising(np.ones((3, 7)), seed=1)) == {
        "mae",
        "rmse",
        "snr_improvement",
        "prd",
        "cosine",
        "ssd",
        "mad",
    }


def test_leads_of_one_record_are_combined() -> None:
    first, second = _lead(), _lead()
    third = EvaluationLead("s", "II", FS, first.clean, first.noisy, PEAKS, ())
    rows = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert by_record([first, second, third], rows).tolist() == [[4, 6], [5, 6]]
    assert by_record([first, second, third], rows, mean=True).tolist() == [[2, 3], [5, 6]]


def test_excerpts_move_inwards_at_the_ends() -> None:
    assert excerpt_around(0, samples=100, seconds=2, fs=10) == slice(0, 20)
    assert excerpt_around(99, samples=100, seconds=2, fs=10) == slice(80, 100)
    assert excerpt_around(50, samples=12, seconds=2, fs=10) == slice(0, 12)


def test_failures_have_reasons_from_the_annotations(write_record: WriteRecord) -> None:
    """Three bad places: ectopic beats in fibrillation, a marked artifact, and small complexes; and none elsewhere."""
    peaks = (np.arange(1, 100) * FS).astype(int)
    signal = 0.05 * np.sin(np.arange(round(100 * FS)) * 0.5)
    signal[peaks] = 1.0
    signal[peaks[80:83]] = 0.2
    signal[round(52 * FS) :] += 1.5  # a step of the baseline, beside the false detection
    symbols = ["N"] * len(peaks)
    symbols[10], symbols[12] = "V", "A"
    path = write_record("f", signal, tuple(int(peak) for peak in peaks), "".join(symbols))
    marks = [(8 * FS, "+", "(AFIB", 0), (20 * FS, "+", "(N", 0), (50 * FS, "~", "", 1), (55 * FS, "~", "", 0)]
    samples = np.concatenate([peaks, [int(mark[0]) + 5 for mark in marks]])
    order = np.argsort(samples, kind="stable")
    wfdb.wrann(
        "f",
        "atr",
        samples[order],
        [(symbols + [mark[1] for mark in marks])[i] for i in order],
        subtype=np.array([0] * len(peaks) + [mark[3] for mark in marks])[order],
        aux_note=[([""] * len(peaks) + [mark[2] for mark in marks])[i] for i in order],
        fs=FS,
        write_dir=str(path.parent),
    )
    lead = EvaluationLead("f", "II", FS, signal.astype(np.float32), signal.astype(np.float32), peaks, ())
    found = np.sort(np.concatenate([np.delete(peaks, [10, 11, 12, 13, 80, 81]), [int(52.5 * FS)]]))
    failures = worst_excerpts([lead], [BaselinePeaks.at(found)], database=_folder(path))
    assert [(item.false_negatives, item.false_positives) for item in failures] == [(4, 0), (2, 0), (0, 1)]
    first, small, noisy = failures
    assert first.start < 11 < 14 < first.start + 6
    assert first.reasons[:3] == [
        "atrial fibrillation",
        "1 premature ventricular beat",
        "1 premature atrial beat",
    ]
    assert "VNA" in first.symbols
    assert [item.kind for item in failures] == [ECTOPIC, SMALL, NOISE]
    assert len(first.annotated) == len(first.symbols)
    assert any(reason.startswith("QRS complexes") for reason in small.reasons) or len(small.annotated) > 5
    assert "marked as noisy by the annotators" in noisy.reasons
    assert "the baseline moves by 1.5 mV" in noisy.reasons
    assert not any("baseline" in reason for reason in first.reasons)
    assert len(noisy.noisy) == round(6 * FS)
    assert worst_excerpts([lead], [BaselinePeaks.at(peaks)], database=_folder(path)) == []


def _folder(path: Path) -> Database:
    return Database("folder", path.parent, (path.name,), "atr", {}, {})


def test_no_record_has_more_than_its_share_of_the_failures(write_record: WriteRecord) -> None:
    peaks = (np.arange(1, 100) * FS).astype(int)
    signal = np.zeros(round(100 * FS))
    signal[peaks] = 1.0
    path: Path = write_record("g", signal, tuple(int(peak) for peak in peaks), "N" * len(peaks))
    lead = EvaluationLead("g", "II", FS, signal.astype(np.float32), signal.astype(np.float32), peaks, ())
    failures = worst_excerpts([lead], [BaselinePeaks.at(np.empty(0, np.int64))], database=_folder(path))
    assert len(failures) == 5
    spans = sorted((item.start, item.start + 6) for item in failures)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans)), "none overlap"


def test_kinds_of_failures_are_computed_by_hand(write_record: WriteRecord) -> None:
    """A flat line at 10 s, false peaks 0.3 s after beats from 30 s, missed beats at 60 s, one 0.6 s after at 80 s."""
    peaks = (np.arange(1, 100) * FS).astype(int)
    signal = np.tile(np.sin(np.arange(round(FS)) * 0.2).astype(np.float32) * 0.1, 100)[: round(100 * FS)]
    signal[peaks] = 1.0
    signal[round(9.4 * FS) : round(11.6 * FS)] = 0.0
    path: Path = write_record("k", signal, tuple(int(peak) for peak in peaks), "N" * len(peaks))
    lead = EvaluationLead("k", "II", FS, signal, signal, peaks, ())
    kept = np.delete(peaks, [9, 10, 59, 60, 61])
    extra = [*(peaks[29:33] + round(0.3 * FS)), peaks[79] + round(0.6 * FS)]
    failures = worst_excerpts([lead], [BaselinePeaks.at(np.sort([*kept, *extra]))], database=_folder(path))
    found = [(item.kind, item.false_negatives, item.false_positives) for item in failures]
    assert found == [(T_WAVES, 0, 4), (MISSED, 3, 0), (FLAT, 2, 0), (EXTRA, 0, 1)]


def test_beats_between_flat_parts_are_missed_beats(write_record: WriteRecord) -> None:
    """A lead without noise is flat between its beats, which explains no missed beat."""
    peaks = (np.arange(1, 30) * FS).astype(int)
    signal = np.zeros(round(30 * FS), np.float32)
    for width in range(-10, 11):
        signal[peaks + width] = 1 - abs(width) / 11
    path: Path = write_record("b", signal, tuple(int(peak) for peak in peaks), "N" * len(peaks))
    lead = EvaluationLead("b", "II", FS, signal, signal, peaks, ())
    (failure,) = worst_excerpts([lead], [BaselinePeaks.at(np.delete(peaks, 12))], database=_folder(path))
    assert (failure.kind, failure.false_negatives) == (MISSED, 1)


@pytest.mark.parametrize("noise_mv", [0.0, 0.05])
def test_false_peaks_on_a_restless_baseline_are_no_t_waves(write_record: WriteRecord, noise_mv: float) -> None:
    """They lie 0.3 s after beats, while the baseline moves by 3 mV; it is smooth, but not flat."""
    peaks = (np.arange(1, 30) * FS).astype(int)
    signal = 1.5 * np.sin(np.arange(round(30 * FS)) / FS * 2) + noise_mv * np.sin(np.arange(round(30 * FS)) * 0.5)
    signal[peaks] += 1.0
    path: Path = write_record("w", signal, tuple(int(peak) for peak in peaks), "N" * len(peaks))
    lead = EvaluationLead("w", "II", FS, signal.astype(np.float32), signal.astype(np.float32), peaks, ())
    found = np.sort([*peaks, *(peaks[9:12] + round(0.3 * FS))])
    (failure,) = worst_excerpts([lead], [BaselinePeaks.at(found)], database=_folder(path))
    assert (failure.kind, failure.false_positives) == (NOISE, 3)


def test_each_database_has_its_failures(write_record: WriteRecord) -> None:
    peaks = (np.arange(1, 30) * FS).astype(int)
    signal = np.zeros(round(30 * FS), np.float32)
    signal[peaks] = 1.0
    path: Path = write_record("n", signal, tuple(int(peak) for peak in peaks), "N" * len(peaks))
    for name in ("a", "b"):
        (path.parent / name).mkdir()
        for suffix in (".hea", ".dat", ".atr"):
            shutil.copy(path.with_suffix(suffix), path.parent / name)
    database = Database("a,b", path.parent, ("a/n", "b/n"), "atr", {}, {})
    leads = [EvaluationLead(name, "II", FS, signal, signal, peaks, ()) for name in ("a/n", "b/n")]
    found = [BaselinePeaks.at(np.empty(0, np.int64)), BaselinePeaks.at(peaks[1:])]
    failures = worst_excerpts(leads, found, database=database, limit=2)
    assert [(item.record, item.false_negatives) for item in failures] == [("a/n", 6), ("a/n", 6), ("b/n", 1)]


def test_annotations_of_a_resampled_record_are_at_its_rate(write_record: WriteRecord) -> None:
    """A premature beat at 40 s, at 250 Hz, is sample 10,000; of the record at 360 Hz it is sample 14,400."""
    peaks = np.arange(1, 60) * 250
    signal = np.zeros(60 * 250)
    signal[peaks] = 1.0
    symbols = "".join("V" if peak == 10_000 else "N" for peak in peaks)
    path: Path = write_record("h", signal, tuple(int(peak) for peak in peaks), symbols, 250)
    at_360 = np.interp(np.arange(60 * 360) * 250 / 360, np.arange(60 * 250), signal).astype(np.float32)
    lead = EvaluationLead("h", "II", 360.0, at_360, at_360, np.arange(1, 60) * 360, ())
    found = np.delete(np.arange(1, 60) * 360, 39)
    (failure,) = worst_excerpts([lead], [BaselinePeaks.at(found)], database=_folder(path))
    assert failure.start < 40 < failure.start + 6
    assert failure.reasons[0] == "1 premature ventricular beat"
    assert failure.symbols.count("V") == 1
