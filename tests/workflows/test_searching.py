"""The searches of a study: checked before anything is changed, restarted together, planned for a given time."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ecg_study.errors import SettingsError, StateError
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.training.specs import Trial
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.tuning.state import load_search, search_directory
from ecg_study.workflows.reporting.report import ReportInputs
from ecg_study.workflows.settings import load_settings
from ecg_study.workflows.study import Study
from tests.tuning.fake_executor import FakeExecutor, Watcher

MakeStudy = Callable[..., Study]


@pytest.fixture
def make_study(
    raw_dir: Path, data_dir: Path, tiny_preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MakeStudy:
    """A function that returns a study in the folder ``out``, whose trials take no time."""

    @contextmanager
    def fake(*_: Any, **__: Any) -> Iterator[FakeExecutor]:
        yield FakeExecutor(2, random.Random(0))

    monkeypatch.setattr("ecg_study.training.executors.factory.open_executor", fake)

    def make(out: str = "out", **settings: Any) -> Study:
        given = {"database": "folder", "raw_dir": raw_dir, "data_dir": data_dir, "segment_samples": 720, "workers": 0}
        return Study(tmp_path / out, **{**given, "preset": tiny_preset, **settings})

    return make


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """Measured speeds, and a report that takes 100 s per model; its calls: the number of speeds of each model."""
    calls: list[dict[str, int]] = []

    def measure(task: TrainingTask, *, count: int, **_: Any) -> list[Speed]:
        return [Speed(10, 100, 1.0, 2.0 if task.name == DENOISER else 4.0, 1.0)] * count

    def expected(_: Any, tasks: Mapping[str, TrainingTask], *, speeds: Mapping[str, Sequence[Speed]]) -> float:
        calls.append({name: len(speeds[name]) for name in tasks})
        return 100.0 * len(tasks)

    monkeypatch.setattr("ecg_study.tuning.time_plan.measure_speeds", measure)
    monkeypatch.setattr("ecg_study.workflows.searching.expected_report_seconds", expected)
    return calls


def _plan(study: Study) -> dict[str, Any]:
    return dict(json.loads((study.output_dir / "time-plan.json").read_text()))


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


class _Interrupting(Watcher):
    """A view that presses Ctrl-C after some trials."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def trial_ended(self, trial: Trial, *, best: float | None) -> None:
        super().trial_ended(trial, best=best)
        if len(self.bests) == self.after:
            raise KeyboardInterrupt

    @contextmanager
    def open(self) -> Iterator[_Interrupting]:
        yield self


def test_a_restart_of_one_model_keeps_the_plan_of_the_other(
    make_study: MakeStudy, reported: list[dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(hours=0.4)
    study.search()
    before = _plan(study)
    assert set(before["sizes"]) == {DENOISER, DETECTOR}
    make_study(hours=0.4).search(model_kind=DETECTOR, restart=True)
    assert _plan(study) == before and reported == [{DENOISER: 6, DETECTOR: 6}], "the same speed gives the same plan"
    with pytest.raises(StateError, match=r"planned for 0\.4 hours .*, not for 0\.5 and tiny; restart the searches of"):
        make_study(hours=0.5).search(model_kind=DETECTOR, restart=True)
    # A plan without the other model is that of earlier versions, which dropped it: the report says what it lacks.
    (study.output_dir / "time-plan.json").write_text(
        json.dumps(before | {"sizes": {DETECTOR: before["sizes"][DETECTOR]}})
    )
    with pytest.raises(StateError, match=r"denoiser: the saved search is not planned for the 0\.4 hours of this study"):
        make_study(hours=0.4).search(model_kind=DETECTOR)
    made: list[ReportInputs] = []

    def report(inputs: ReportInputs, **_: Any) -> None:
        made.append(inputs)

    monkeypatch.setattr("ecg_study.workflows.reporting.report.make_report", report)
    make_study(hours=0.4).report()
    assert set(made[0].tasks) == {DETECTOR}
    assert made[0].missing == [
        "The search of the denoiser is not part of the time plan of this study; search it again."
    ]


def test_the_report_is_planned_with_all_models_whichever_is_searched_first(
    make_study: MakeStudy, reported: list[dict[str, int]]
) -> None:
    study = make_study(hours=0.4)
    study.search(model_kind=DETECTOR)
    assert reported == [{DETECTOR: 6, DENOISER: 2}] and _plan(study)["report_seconds"] == 200
    make_study(hours=0.4).search()
    assert len(reported) == 1 and _plan(study)["report_seconds"] == 200
    assert set(_plan(study)["sizes"]) == {DENOISER, DETECTOR}


def test_a_restart_of_both_models_can_be_resumed(make_study: MakeStudy) -> None:
    """The searches are set aside together: the next command finds nothing of the old ones."""
    study = make_study()
    study.search()
    view = _Interrupting(after=3)
    with pytest.raises(KeyboardInterrupt):
        make_study().search(restart=True, open_view=view.open)
    folder = study.output_dir / "search"
    assert [len(list(folder.glob(f"{name}.before-*"))) for name in (DENOISER, DETECTOR)] == [1, 1]
    assert load_search(folder / DETECTOR).trials == ()
    results = make_study().search()
    assert all(result.done for result in results.values())
    assert len(list(folder.glob("*.before-*"))) == 2


def test_a_resumed_search_has_not_ended(make_study: MakeStudy) -> None:
    study = make_study()
    stopped = study.search(model_kind=DENOISER, max_trials=2)[DENOISER]
    assert stopped.stopped == "the limit of 2 trials was reached"
    view = _Interrupting(after=1)
    with pytest.raises(KeyboardInterrupt):
        make_study().search(model_kind=DENOISER, open_view=view.open)
    found = load_search(search_directory(study.output_dir, DENOISER))
    assert (found.stopped, found.done, len(found.trials)) == ("", False, 3)


def test_a_refused_command_changes_nothing(make_study: MakeStudy, reported: list[dict[str, int]]) -> None:
    study = make_study()
    study.search(max_trials=2)
    before = _files(study.output_dir)
    assert reported == []
    refused: list[tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = [
        ({"seed": 2, "hours": 0.06}, {"restart": True}, SettingsError, "are too short"),
        ({"seed": 2}, {}, StateError, "used seed = 1, but seed = 2"),
        # Only one model is searched, but the settings are those of the study.
        ({"seed": 2}, {"model_kind": DETECTOR}, StateError, "denoiser: the saved search used seed = 1, but seed = 2"),
        ({"seed": 2}, {"model_kind": DETECTOR, "restart": True}, StateError, "used seed = 1, but seed = 2"),
        ({"hours": 0.4}, {"model_kind": DETECTOR}, StateError, "denoiser: the saved search is not planned"),
        ({"warm_start": "nowhere"}, {"restart": True}, StateError, "no search of the denoiser in nowhere"),
    ]
    for settings, how, kind, says in refused:
        with pytest.raises(kind, match=says):
            make_study(**settings).search(**how)
        assert _files(study.output_dir) == before
    make_study(seed=2).search(restart=True)
    assert load_settings(study.output_dir / "settings.toml")["seed"] == 2


def test_the_second_search_is_checked_before_the_first_starts(make_study: MakeStudy) -> None:
    study = make_study()
    study.search(max_trials=2)
    shutil.rmtree(search_directory(study.output_dir, DENOISER))
    state = search_directory(study.output_dir, DETECTOR) / "search.json"
    state.write_text("{ damaged")
    with pytest.raises(StateError, match=r"detector/search\.json: the file is damaged"):
        make_study().search()
    assert not search_directory(study.output_dir, DENOISER).exists()
    # That of a model that is not searched now is named when it is used.
    assert make_study().search(model_kind=DENOISER)[DENOISER].done


def test_a_planned_search_resumes_without_the_study_of_its_warm_start(
    make_study: MakeStudy, reported: list[dict[str, int]], tmp_path: Path
) -> None:
    make_study("earlier").search()
    warm = {"warm_start": str(tmp_path / "earlier"), "hours": 0.4}
    make_study(**warm).search(max_trials=2)
    (tmp_path / "earlier").rename(tmp_path / "moved")
    assert len(reported) == 1
    assert all(result.done for result in make_study(**warm).search().values())


def test_each_search_has_the_same_share_of_the_hours_in_a_plan(make_study: MakeStudy) -> None:
    plans = make_study(max_hours=2).plan()
    assert [(plan.task, plan.budget.seconds) for plan in plans] == [(DENOISER, 3600), (DETECTOR, 3600)]
