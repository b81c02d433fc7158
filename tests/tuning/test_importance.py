"""Importances of hyperparameters, on searches with known important choices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecg_study.evaluation.results.search import EPOCHS
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.search_spaces.presets import Preset
from ecg_study.training.specs import Trial
from ecg_study.tuning.findings.analysis import summarize_search
from tests.tuning.made_up_searches import (
    LARGE,
    SMALL,
    Configuration,
    Score,
    by_units,
    draw,
    made_up_search,
    realistic,
    summary_by_units,
)


def test_the_deciding_hyperparameter_comes_first_and_others_are_not_significant() -> None:
    summary = summary_by_units()
    first, *others = summary.importances
    assert (first.hyperparameter, first.r2_drop.low > 0.5) == ("units_1", True)
    assert summary.explained is not None and summary.explained > 0.8
    by_name = {item.hyperparameter: item for item in others}
    assert set(by_name) == {*"layers units_2 units_3 dropout frame direction learning_rate residual".split(), EPOCHS}
    for name in ("dropout", "frame", "direction", "residual"):
        assert by_name[name].r2_drop.low <= 0 <= by_name[name].r2_drop.high
        assert by_name[name].r2_drop.value < 0.05


def test_a_second_important_hyperparameter_is_found_for_a_maximized_score() -> None:
    def area(configuration: Configuration, epochs: int) -> float:
        return 1 - by_units(configuration, epochs) * (1 if configuration["direction"] == "both" else 4)

    summary = summarize_search(DETECTOR, made_up_search(DETECTOR, LARGE, score=area), preset=LARGE)
    assert {item.hyperparameter for item in summary.importances[:2]} == {"units_1", "direction"}
    assert all(item.r2_drop.low > 0 for item in summary.importances[:2])
    assert all(item.r2_drop.low <= item.r2_drop.value <= item.r2_drop.high for item in summary.importances)


def test_random_scores_are_not_explained() -> None:
    search = made_up_search(DENOISER, SMALL, score=realistic)
    rng = np.random.default_rng(5)
    first = [_with_random_score(search.trials[0], number, rng) for number in range(40)]
    # The next rung of each has the same score: a forest that had seen one could predict the other.
    second = [replace(trial, spec=replace(trial.spec, id=f"{trial.spec.id[:3]}-r1", rung=1)) for trial in first]
    many = replace(search, trials=(*first, *second))
    summary = summarize_search(DENOISER, many, preset=LARGE)
    assert summary.explained is not None and summary.explained < 0.2
    assert not any(item.r2_drop.low > 0 for item in summary.importances)
    assert EPOCHS not in {item.hyperparameter for item in summary.importances}, "all trained one epoch"


def test_the_seed_decides_the_importances_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecg_study.tuning.findings.importance._DRAWS", 6)
    search = made_up_search(DENOISER, SMALL, score=realistic)
    search = replace(search, trials=search.trials + made_up_search(DENOISER, SMALL, score=realistic, seed=1).trials)
    once, again, other = (summarize_search(DENOISER, search, preset=SMALL, seed=seed) for seed in (3, 3, 4))
    assert once.importances and once == again
    assert once.importances != other.importances
    assert once.findings is not None and other.findings is not None
    # Preferences are reported of the important hyperparameters.
    same = replace(once, importances=[], explained=None, findings=replace(once.findings, preferences=[]))
    assert same == replace(other, importances=[], explained=None, findings=replace(other.findings, preferences=[]))


@pytest.mark.parametrize(("preset", "score"), [(SMALL, realistic), (LARGE, lambda *_: 0.01)])
def test_too_few_configurations_and_equal_scores_have_no_importances(preset: Preset, score: Score) -> None:
    summary = summarize_search(DENOISER, made_up_search(DENOISER, preset, score=score), preset=preset)
    assert (summary.importances, summary.explained) == ([], None)


def _with_random_score(trial: Trial, number: int, rng: np.random.Generator) -> Trial:
    plan = replace(trial.spec, id=f"{number:03d}-r0", hyperparameters=draw(DENOISER, LARGE.denoiser, rng=rng))
    return Trial(plan, replace(trial.result, score=float(rng.uniform(1e-4, 1e-2))), float(number))
