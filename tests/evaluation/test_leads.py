"""Tests of whole leads for evaluation."""

from __future__ import annotations

import numpy as np

from ecg_study.ecg_data.noise import gaussian_noise
from ecg_study.evaluation.leads import EvaluationLead, read_leads
from tests.conftest import SmallData


def test_windows_in_excluded_intervals_do_not_count() -> None:
    signal = np.zeros(1000, np.float32)
    lead = EvaluationLead("r", "II", 360, signal, signal, np.array([50, 250, 950]), ((299, 401), (600, 700)))
    labels, scored = lead.window_labels(100)
    assert labels.tolist() == [True, False, True] + [False] * 6 + [True]
    assert scored.tolist() == [True, True, False, False, False, True, False, True, True, True]


def test_leads_have_the_noise_of_their_cached_segments(small_data: SmallData) -> None:
    cache = small_data.cache
    leads = read_leads(cache, small_data.database, records=small_data.split.test)
    assert [lead.record for lead in leads] == list(small_data.split.test)
    for lead, entry in zip(leads, cache.entries_of(small_data.split.test), strict=True):
        cached = cache.noisy[entry.first : entry.last].ravel()
        np.testing.assert_array_equal(lead.noisy[: len(cached)], cached)
        noise = gaussian_noise(len(lead.clean), sigma_mv=0.05, seed=1, record=lead.record, lead=lead.lead)
        np.testing.assert_array_equal(lead.noisy, lead.clean + noise)
