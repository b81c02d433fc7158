"""Warm start of a search with the best configurations of an earlier study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ecg_study.errors import StateError
from ecg_study.models.card import DENOISER
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.start import find_start, search_lock, start_anew
from ecg_study.tuning.state import load_search, search_directory
from ecg_study.tuning.warm_start import in_space
from tests.conftest import SmallData
from tests.tuning.fake_executor import PRESET, TRIALS, Watcher, earlier_search, search, specs_by_id


def test_the_best_configurations_of_an_earlier_study_are_tried_first(task: TrainingTask, tmp_path: Path) -> None:
    earlier = earlier_search(task, tmp_path / "first")
    best = list(dict.fromkeys(str(trial.spec.hyperparameters) for trial in earlier.ranked()))[:3]
    watcher, first, second = Watcher(), tmp_path / "first", tmp_path / "second"
    result = search(task, second, seed=8, warm_start=first, view=watcher)
    specs = specs_by_id(result)
    assert [str(specs[f"{n:03d}-r0"].hyperparameters) for n in range(3)] == best
    assert len({str(spec.hyperparameters) for spec in specs.values()}) == 17, "none is drawn twice"
    assert len(result.trials) == TRIALS
    assert watcher.notices == [f"the 3 best of {first} are tried first"]
    # To resume, the search does not need the earlier study, but the same choice.
    first.rename(tmp_path / "elsewhere")
    search(task, second, seed=8, warm_start=first)
    with pytest.raises(StateError, match=r"used warm start = .*first\", but warm start = \"\" was requested"):
        search(task, second, seed=8)


def test_configurations_outside_the_space_are_skipped(
    task: TrainingTask, small_data: SmallData, tmp_path: Path
) -> None:
    earlier = earlier_search(task, tmp_path / "first")
    one_layer = replace(PRESET, denoiser=replace(PRESET.denoiser, layers=(1,)))
    other = TrainingTask(DENOISER, small_data.cache, small_data.split, one_layer)
    watcher = Watcher()
    result = search(other, tmp_path / "second", warm_start=tmp_path / "first", view=watcher)
    fitting = [t.spec.hyperparameters for t in earlier.ranked() if t.spec.hyperparameters["layers"] == 1]
    assert specs_by_id(result)["000-r0"].hyperparameters == fitting[0]
    assert "do not fit this space" in watcher.notices[0]
    none = replace(PRESET, denoiser=replace(PRESET.denoiser, frame=(8,)))
    with pytest.raises(StateError, match=r"no configuration of the denoiser in .* fits"):
        search(
            TrainingTask(DENOISER, small_data.cache, small_data.split, none),
            tmp_path / "third",
            warm_start=tmp_path / "first",
        )


def test_zero_filters_equal_a_space_without_filters(task: TrainingTask) -> None:
    plain = {"layers": 1, "units_1": 4, "dropout": 0.0, "frame": 8, "direction": "forward", "learning_rate": 3e-3}
    plain |= {"residual": True}
    ranges = replace(PRESET.denoiser, layers=(1,), units=(4,), dropout=(0.0,), frame=(8,), direction=("forward",))
    without = replace(task, preset=replace(PRESET, denoiser=ranges))
    having = replace(task, preset=replace(PRESET, denoiser=replace(ranges, filters=(0, 3))))
    assert in_space(without, plain) == in_space(without, plain | {"filters": 0}) == plain
    assert in_space(having, plain) == in_space(having, plain | {"filters": 0}) == plain | {"filters": 0}
    assert in_space(having, plain | {"filters": 3}) == plain | {"filters": 3}
    assert in_space(without, plain | {"filters": 3}) is None
    assert in_space(without, plain | {"dense_units": 0}) is None


def test_an_earlier_study_that_saw_test_records_is_refused(
    task: TrainingTask, small_data: SmallData, tmp_path: Path
) -> None:
    """Records are identified by content, so other names do not help."""
    earlier_search(task, tmp_path / "first")
    split = small_data.split
    swapped = replace(split, train=(*split.train[1:], split.test[0]), test=(split.train[0], *split.test[1:]))
    other = TrainingTask(DENOISER, small_data.cache, swapped, PRESET)
    with pytest.raises(StateError, match=f"was trained or validated on {split.train[0]}, which this study tests on"):
        search(other, tmp_path / "second", warm_start=tmp_path / "first")
    with pytest.raises(StateError, match=r"warm_start: no search of the denoiser in \S+nothing"):
        search(task, tmp_path / "second", warm_start=tmp_path / "nothing")
    assert not (tmp_path / "second").exists()


def test_a_refused_warm_start_does_not_rename_the_saved_search(task: TrainingTask, tmp_path: Path) -> None:
    earlier_search(task, tmp_path)
    directory = search_directory(tmp_path, task.name)
    before = (directory / "search.json").read_bytes()
    with pytest.raises(StateError, match="no search of the denoiser in"):
        find_start(task, directory, seed=3, warm_start=tmp_path / "nothing", restart=True)
    assert (directory / "search.json").read_bytes() == before
    start = find_start(task, directory, seed=3, warm_start=tmp_path, restart=True)
    assert (directory / "search.json").read_bytes() == before
    assert start.notices == (f"the 3 best of {tmp_path} are tried first",)
    start_anew([start])
    result = search(task, directory, warm_start=tmp_path)
    assert result.done, "it needs the earlier search no more, which is set aside"
    assert specs_by_id(result)["000-r0"].hyperparameters == start.saved.warm[0]


def test_the_earlier_study_may_be_named_from_elsewhere(
    task: TrainingTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier_search(task, tmp_path / "first")
    search(task, tmp_path / "second", warm_start=tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    for name in ("first", "./second/../first"):
        assert search(task, tmp_path / "second", warm_start=Path(name)).done
    with pytest.raises(StateError, match="used warm start = "):
        search(task, tmp_path / "second", warm_start=Path("third"))


def test_no_search_is_set_aside_if_another_process_uses_one_of_them(task: TrainingTask, tmp_path: Path) -> None:
    starts = [find_start(task, tmp_path / name, seed=1, restart=True) for name in ("a", "b")]
    for start in starts:
        start.directory.mkdir()
    with search_lock(tmp_path / "b"), pytest.raises(StateError, match="b: another process is searching here"):
        start_anew(starts)
    assert not list(tmp_path.glob("*.before-*"))
    start_anew(starts)
    assert len(list(tmp_path.glob("*.before-*"))) == 2
    assert all(load_search(start.directory).trials == () for start in starts)
