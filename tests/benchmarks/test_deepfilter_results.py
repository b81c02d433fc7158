"""Measures, settings and table of DeepFilter's benchmark."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.quality.deepfilter.__main__ import parse_values
from benchmarks.quality.deepfilter.beats import FS
from benchmarks.quality.deepfilter.metrics import beat_errors, mean_scores
from benchmarks.quality.deepfilter.results import PUBLISHED, BenchmarkResult, Judge, baselines, render
from benchmarks.quality.deepfilter.settings import ModelSettings, TrainingSettings, vary
from ecg_study.errors import SettingsError


class TestMeasures:
    # The mean of all clean samples is 1.
    clean = np.array([[1.0, 1.0], [0.0, 2.0]])
    denoised = np.array([[1.0, 3.0], [0.0, 2.0]])

    def test_each_beat_is_measured_as_by_hand(self) -> None:
        errors = beat_errors(self.clean, self.denoised)
        np.testing.assert_allclose(errors.ssd, [4, 0])
        np.testing.assert_allclose(errors.mad, [2, 0])
        # Denoised minus the mean: [0, 2], so 4 of 4; a PRD relative to the clean beat would be infinite.
        np.testing.assert_allclose(errors.prd, [100, 0])
        np.testing.assert_allclose(errors.cosine, [4 / math.sqrt(2 * 10), 1])

    def test_scores_are_means_over_beats(self) -> None:
        scores = mean_scores([beat_errors(self.clean, self.denoised)])
        assert (scores.ssd, scores.mad, scores.prd, scores.beats) == (2, 1, 50, 2)

    def test_parts_are_pooled_by_beat(self) -> None:
        whole, one = beat_errors(self.clean, self.denoised), beat_errors(self.clean[:1], self.denoised[:1])
        # SSD 4, 0 and 4 again: the mean of the means would be 3.
        assert mean_scores([whole, one]).ssd == pytest.approx(8 / 3)
        assert mean_scores([whole, one]).beats == 3


class TestBaselines:
    def test_the_high_pass_removes_slow_wander_and_the_other_changes_nothing(self) -> None:
        untouched, filtered = baselines().values()
        times = np.arange(512) / FS
        noisy = 0.3 * np.sin(2 * np.pi * 12 * times) + 2 + 0.3 * times
        np.testing.assert_array_equal(untouched(noisy[np.newaxis]), noisy[np.newaxis])
        assert abs(filtered(noisy[np.newaxis])[0, 100:-100].mean()) < 0.05


class TestTable:
    def _result(self, part: str) -> BenchmarkResult:
        judge = Judge()
        for version, shift in ((1, 1.0), (2, 3.0)):
            clean = np.array([[1.0, -1.0]])
            judge.add("ours", version, clean=clean, denoised=clean + np.array([shift, 0]))
        return BenchmarkResult(part, (5, 2), False, judge.rows(), [], {})

    def test_both_versions_are_pooled_and_given_apart(self) -> None:
        rows = self._result("test").rows
        assert [(row.version, row.scores.ssd) for row in rows] == [("both", 5.0), ("1", 1.0), ("2", 9.0)]

    def test_one_version_is_not_called_both(self) -> None:
        judge = Judge()
        judge.add("ours", 2, clean=np.array([[1.0, -1.0]]), denoised=np.array([[1.0, 0.0]]))
        assert [row.version for row in judge.rows()] == ["2"]

    def test_published_rows_are_beside_test_beats_and_marked(self) -> None:
        lines = list(render(self._result("test")))
        published = [line for line in lines if "published |" in line]
        assert len(published) == len(PUBLISHED) == 4
        assert "| MECG-E (Mamba), published | both | 3.445 | 0.319 | 37.6 | 0.936 |" in published
        assert "| ours | 2 | 9.000 | 3.000 | 72.76 | 0.8575 |" in lines

    def test_validation_beats_are_not_compared_with_published_rows(self) -> None:
        lines = list(render(self._result("validation")))
        assert not any("published |" in line for line in lines)
        assert lines[0].startswith("Judged: validation beats.")

    def test_other_beats_are_no_result(self) -> None:
        assert "no result" in next(iter(render(self._result("test"))))


class TestSettings:
    def test_values_of_network_and_augmentation_are_set_by_name(self) -> None:
        values = parse_values(["units=[8,8]", "loss=squared", "time_stretch=1", "second_lead=false", "dropout=0.1"])
        settings = vary(TrainingSettings(), values)
        assert (settings.model.units, settings.model.loss, settings.model.dropout) == ((8, 8), "squared", 0.1)
        assert (settings.augmentation.time_stretch, settings.augmentation.second_lead) == (1, False)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("unit=8", "set: 'unit' is unknown; choose from units, "),
            ("units=8", "units: 8 has the wrong type"),
            ("units=[8,true]", "units: .* has the wrong type"),
            ("second_lead=1", "second_lead: 1 has the wrong type"),
            ("dropout=true", "dropout: True has the wrong type"),
            ("loss=mae", "loss: 'mae' is not one of measures, mixture, squared"),
            ("frame=7", "512 a multiple of frame"),
            ("invert=2", "invert: 2 is not between 0 and 1"),
            ("dropout", "set: 'dropout' is not of the form NAME=VALUE"),
        ],
    )
    def test_a_wrong_value_is_refused(self, given: str, said: str) -> None:
        with pytest.raises(SettingsError, match=said):
            vary(TrainingSettings(), parse_values([given]))

    def test_settings_are_json(self) -> None:
        stored = TrainingSettings(ModelSettings(dropout=0.2), seed=3).as_json()
        assert (stored["seed"], stored["model"]["dropout"], stored["augmentation"]["invert"]) == (3, 0.2, 0.5)
