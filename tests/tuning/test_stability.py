"""How often the best configuration stays the best with other validation subjects, computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ecg_study.models.card import DENOISER
from ecg_study.reports.sentences import findings
from ecg_study.training.specs import COMPLETED, TrainingResult, TrainingSpec, Trial
from ecg_study.tuning.findings.analysis import summarize_search
from ecg_study.tuning.findings.stability import winner_stability
from tests.tiny import TINY
from tests.tuning.made_up_searches import made_up_search, realistic


def _trial(number: int, losses: Sequence[float], *, rung: int = 0, of: int | None = None) -> Trial:
    spec = TrainingSpec(id=f"{number:03d}-r{rung}", epochs=1, hyperparameters={"units_1": number if of is None else of})
    scores = {f"s{subject}": loss for subject, loss in enumerate(losses)}
    return Trial(spec, TrainingResult(COMPLETED, 1.0, 1, subject_scores=scores))


def test_by_hand() -> None:
    """With losses of 1, 1, 3 and 2, 2, 1, the first is better unless the third subject is drawn twice or more.

    It is drawn at most once of three times with a probability of 8/27 + 12/27.
    """
    trials = [_trial(0, [1, 1, 3]), _trial(1, [2, 2, 1]), _trial(2, [9, 9, 9])]
    found = winner_stability(trials, direction="min", seed=1)
    assert found is not None and found.subjects == 3
    assert found.best == pytest.approx(20 / 27, abs=0.03)
    assert found.near_best == found.best, "where it is not the best, it is worse by more than 5 %"
    assert found.rival == "001-r0"
    assert found.rival_best == pytest.approx(1 - found.best)


def test_a_configuration_counts_once_and_a_near_tie_is_near_the_best() -> None:
    trials = [_trial(0, [1, 1, 1], rung=1), _trial(1, [1.04, 0.97, 0.98]), _trial(5, [0.1, 0.1, 0.1], of=0)]
    found = winner_stability(trials, direction="min", seed=1)
    assert found is not None
    assert found.near_best == 1 and 0 < found.best < 1 and found.rival == "001-r0"
    alone = winner_stability([_trial(0, [1, 1, 1]), _trial(1, [2, 2, 2])], direction="min", seed=1)
    assert alone is not None and (alone.best, alone.rival, alone.rival_best) == (1, None, 0)


def test_configurations_with_the_same_score_share_a_draw() -> None:
    """A perfect score of some subjects is common. The first of equals is the best by its number only."""
    same = winner_stability([_trial(number, [0.1, 0.1, 0.1]) for number in range(4)], direction="min", seed=1)
    assert same is not None
    assert (same.best, same.rival, same.rival_best, same.near_best) == (0.25, "001-r0", 0.25, 1)
    # Two subjects are exchanged: where both are drawn equally often, the same terms are added in another order.
    other = winner_stability([_trial(0, [0.1, 0.3, 0.7]), _trial(1, [0.3, 0.1, 0.7])], direction="min", seed=1)
    assert other is not None
    assert other.best + other.rival_best == pytest.approx(1) and other.best == pytest.approx(0.5, abs=0.03)
    # All but one subject are the same: the first is better where the third subject is drawn, in 19 of 27 draws.
    found = winner_stability([_trial(0, [1, 1, 2]), _trial(1, [1, 1, 3])], direction="min", seed=1)
    assert found is not None and found.best == pytest.approx(19 / 27 + 8 / 27 / 2, abs=0.03)


def test_without_enough_subjects_or_configurations_nothing_is_said() -> None:
    for trials in (
        [],
        [_trial(0, [1, 2, 3])],
        [_trial(0, [1, 2]), _trial(1, [2, 1])],
        [_trial(0, []), _trial(1, [])],
        [_trial(0, [1, 2, 3]), _trial(1, [])],
    ):
        assert winner_stability(trials, direction="min", seed=1) is None


def test_the_report_says_how_stable_the_choice_is() -> None:
    search = made_up_search(DENOISER, TINY, score=realistic)
    summary = summarize_search(DENOISER, search, preset=TINY)
    assert summary.findings is not None and summary.findings.stability is None
    assert not any("drawn again" in sentence for sentence in findings(summary))
    scored = tuple(
        replace(trial, result=replace(trial.result, subject_scores=dict.fromkeys("abc", trial.result.score or 1.0)))
        for trial in search.trials
    )
    said = findings(summarize_search(DENOISER, replace(search, trials=scored), preset=TINY))
    (sentence,) = [sentence for sentence in said if "drawn again" in sentence]
    assert sentence == (
        f"If the 3 validation subjects are drawn again with replacement and each counts the same, "
        f"{summary.trials[0].id} is the best in 100 % of the draws and within 5 % of the best in 100 %; no other "
        "configuration is the best in any."
    )
