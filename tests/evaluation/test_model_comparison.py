"""Our denoiser against the best classical method under recorded noise, computed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecg_study.evaluation.experiments.model_comparison import compare_under_noise
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.evaluation.results.harm import EXACT_HIGHPASS, HarmCell, HarmSection
from ecg_study.evaluation.results.values import LSTM, NO_FILTER, Estimate

RECORDS = [f"r{number}" for number in range(8)]
_NOTHING = np.zeros(0)
LEADS = [EvaluationLead(record, "II", 360.0, _NOTHING, _NOTHING, _NOTHING, ()) for record in RECORDS]


def _cell(method: str, snr: int, mean: float, *, spread: float = 0.0, noise_type: str = "mix") -> HarmCell:
    by_record = {record: mean + spread * (-1) ** number for number, record in enumerate(RECORDS)}
    estimate = Estimate(mean, mean, mean)
    return HarmCell(noise_type, snr, method, estimate, mean, estimate, by_record, {}, None)


def test_the_reference_is_the_best_method_at_each_level() -> None:
    """The noisy input does not count, though it is best at 24 dB; differences of records are 2 and 4 dB at 0 dB."""
    cells = [
        *(_cell(NO_FILTER, snr, 9.0) for snr in (24, 12, 0)),
        *(_cell(EXACT_HIGHPASS, snr, 6.0) for snr in (24, 12, 0)),
        *(_cell("wavelet", snr, value) for snr, value in ((24, 5.0), (12, 7.0), (0, 7.0))),
        *(_cell(LSTM, snr, value, spread=1.0) for snr, value in ((24, 5.0), (12, 7.0), (0, 10.0))),
        _cell(LSTM, 24, 99.0, noise_type="bw"),
    ]
    found = compare_under_noise(HarmSection("reference", cells, []), LEADS, seed=1)
    assert [item.metric for item in found] == [
        f"denoising: SNR improvement in dB, recorded noise at {snr} dB" for snr in (24, 12, 0)
    ]
    assert [item.reference for item in found] == [EXACT_HIGHPASS, "wavelet", "wavelet"]
    assert [item.difference.value for item in found] == pytest.approx([-1.0, 0.0, 3.0])
    assert [item.significant for item in found] == [True, False, True]
    assert 2.0 <= found[2].difference.low < 3.0 < found[2].difference.high <= 4.0


def test_significance_needs_records_of_six_subjects() -> None:
    cells = [_cell(EXACT_HIGHPASS, 24, 6.0), _cell(LSTM, 24, 5.0)]
    twice = [replace(lead, subject=f"p{number // 2}") for number, lead in enumerate(LEADS)]
    (found,) = compare_under_noise(HarmSection("reference", cells, []), twice, seed=1)
    assert found.significant is None, "eight records of four subjects"
    assert found.difference.value == -1.0


def test_without_noise_or_at_other_levels_there_is_nothing_to_compare() -> None:
    assert compare_under_noise(HarmSection("reference", [], []), LEADS, seed=1) == []
    cells = [_cell(EXACT_HIGHPASS, 6, 6.0), _cell(LSTM, 6, 7.0), _cell(EXACT_HIGHPASS, 12, 6.0)]
    assert compare_under_noise(HarmSection("reference", cells, []), LEADS, seed=1) == []
