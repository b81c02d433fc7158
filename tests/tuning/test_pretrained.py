"""Studies that start from a pretrained model: its network first, with its weights, in trials and final trainings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import study
from ecg_study.ecg_data.databases.catalog import Database
from ecg_study.ecg_data.databases.splits import Split
from ecg_study.errors import DataError, SettingsError
from ecg_study.models.card import DENOISER, read_card
from ecg_study.search_spaces.hyperparameters import network_of
from ecg_study.training.executors.in_process import InProcessExecutor
from ecg_study.training.pretrained import Pretrained, first_weights, start_of
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.search import SearchOptions, run_search
from ecg_study.tuning.start import search_identity
from ecg_study.tuning.warm_start import first_configurations, pretrained_configuration
from ecg_study.workflows.training.origins import refuse_training_records
from tests.conftest import SmallData
from tests.tiny import TINY
from tests.training.test_final_training import CONFIGURATION, _best, train
from tests.tuning.fake_executor import Watcher, specs_by_id


@pytest.fixture(scope="module")
def task(small_data: SmallData) -> TrainingTask:
    """A denoiser that may start from a model of one layer of four units."""
    task = TrainingTask(DENOISER, small_data.cache, small_data.split, replace(TINY, max_epochs=3))
    weights = tuple(task.build(CONFIGURATION).get_weights())
    card = {**CONFIGURATION, "dropout": 0.3, "learning_rate": 0.005, "gate": False, "loss_power": 0.5}
    return replace(task, pretrained=Pretrained("mine", "ab12", card, weights, lineage={"from": 1}))


def test_how_a_network_is_trained_is_no_part_of_it() -> None:
    network = {"layers": 1, "units_1": 4, "frame": 16, "direction": "forward", "residual": True}
    trained = {"dropout": 0.1, "learning_rate": 1e-3, "loss_power": 0.5, "augmentation": "wearable"}
    assert network_of({**network, **trained, "snr_shift_db": 4.0, "database_balance": 1.0}) == network
    assert network_of({**network, "gate": False, "filters": 0}) == network, "absent parts"
    assert network_of({**network, "gate": True, "dense_units": 0}) == {**network, "gate": True, "dense_units": 0}


def test_a_trained_network_starts_with_the_lowest_learning_rate(task: TrainingTask) -> None:
    assert task.pretrained is not None and task.pretrained.hyperparameters["learning_rate"] == 0.005
    found = pretrained_configuration(task, task.pretrained)
    assert found["learning_rate"] == task.preset.denoiser.learning_rate[0] == 0.003
    (first, *_) = first_configurations(task, None).configurations
    assert first == found


def test_values_of_the_training_outside_the_space_are_replaced(task: TrainingTask) -> None:
    assert task.pretrained is not None
    found = pretrained_configuration(task, task.pretrained)
    assert found == {**CONFIGURATION, "learning_rate": 0.003}, "the preset has no dropout of 0.3; its first is 0"
    assert start_of(task, found) is task.pretrained
    assert start_of(task, {**found, "units_1": 6}) is None and first_weights(task, {**found, "frame": 8}) is None
    larger = replace(task.pretrained, hyperparameters={**CONFIGURATION, "units_1": 5})
    with pytest.raises(SettingsError, match="the network of mine is outside the ranges of the preset tiny"):
        first_configurations(replace(task, pretrained=larger), None)


def test_subjects_that_it_was_trained_on_are_not_validated_on(tiny_study: Path) -> None:
    """Record sel100 of the QT Database is an excerpt of record 100 of MIT-BIH; only its signal differs."""
    data = Database("qtdb", tiny_study, ("sel100", "sel301", "sel302"), "atr", {}, {}, {"sel100": "mitdb/100"})
    split = Split(train=("sel302",), validation=("sel100",), test=("sel301",))
    cache = SimpleNamespace(signals=lambda records: {record: [record] for record in records})
    task: Any = SimpleNamespace(split=split, cache=cache, refit=False)
    card = read_card(tiny_study / "models" / "detector")
    for trained, known in ((["100"], True), (["101"], False)):
        own = replace(card, data=card.data | {"database": "mitdb", "records": {"train": trained}, "signals": {}})
        if known:
            with pytest.raises(DataError, match="sel100: the model was trained on the subjects of these records"):
                refuse_training_records(own, task, data=data)
        else:
            refuse_training_records(own, task, data=data)


@pytest.mark.slow
def test_trials_of_its_network_start_from_its_weights(task: TrainingTask, tmp_path: Path) -> None:
    """A model that is trained has a lower loss after its first trial than the same from random weights."""
    directory = tmp_path / "first"
    trained = train(replace(task, pretrained=None, preset=replace(TINY, final_epochs=60, seeds=1)), directory, _here())
    assert task.pretrained is not None
    weights = tuple(trained[0].model.get_weights())
    task = replace(task, pretrained=replace(task.pretrained, weights=weights))
    watcher = Watcher()
    result = run_search(task, SearchOptions(1), directory=tmp_path / "s", executor=_here(), view=watcher)
    assert watcher.notices == ["the network of mine is tried first, with its weights"]
    first = specs_by_id(result)["000-r0"]
    assert network_of(first.hyperparameters) == network_of(CONFIGURATION)
    assert result.identity["pretrained"] == ["mine", "ab12"]
    scores = {trial.spec.id: trial.result.score or 9.0 for trial in result.trials if trial.spec.rung == 0}
    assert scores.pop("000-r0") < min(scores.values())
    assert search_identity(replace(task, pretrained=None), seed=1, warm_start="") != result.identity

    one = replace(task, preset=replace(TINY, final_epochs=1, seeds=1))
    again = train(one, tmp_path / "final", _here())
    assert again[0].pretrained == "mine"
    anew = train(replace(one, pretrained=None), tmp_path / "final", _here())
    assert anew[0].pretrained == "", "what is kept is of another start"
    losses = [models[0].result.history[0]["val_loss"] for models in (again, anew)]
    assert losses[0] < losses[1]
    other = train(one, tmp_path / "other", _here(), _best(units_1=6))
    assert other[0].pretrained == ""


def _here() -> Any:
    return InProcessExecutor()


@pytest.mark.slow
def test_a_study_says_from_which_model_it_started(
    small_options: list[str], one_configuration: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = [*small_options[:-4], "--preset", str(one_configuration), "--output-dir", str(tmp_path / "first")]
    assert study.main(["train", *first, "--model-kind", "detector", "--epochs", "60"]) == 0
    model = tmp_path / "first" / "models" / "detector"
    given = [*small_options, "--pretrained", str(model), "--out", str(tmp_path / "out")]
    assert study.main(["run", *given]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [search["pretrained"] for search in report["searches"]] == ["", "detector"]
    started = {training["task"]: training["pretrained"] for training in report["trainings"]}
    assert started == {"denoiser": "", "detector": "detector"}, "of 60 epochs before, it is the best"
    page = (tmp_path / "out" / "report.md").read_text()
    assert "The network of `detector` was tried first." in page
    assert "The detector started from the weights of `detector`." in page
    card = read_card(tmp_path / "out" / "models" / "detector")
    assert card.data["fine_tuned_from"]["data"]["records"] == read_card(model).data["records"]
    started_from = "Training started from the weights of `detector`"
    assert started_from in (tmp_path / "out" / "models" / "detector" / "CARD.md").read_text()
    assert "fine_tuned_from" not in read_card(tmp_path / "out" / "models" / "denoiser").data
    assert study.main(["report", *given, "--sections", "search"]) == 0
    capsys.readouterr()
    for more, says in (
        (["--pretrained", ""], "used --pretrained = "),
        (["--pretrained", "gru-detector"], "the network of gru-detector is outside the ranges of the preset tiny"),
        (["--pretrained", f"{model},{model}"], "are both a detector; choose one"),
        (["--pretrained", "nowhere"], "nowhere"),
        (["--pretrained", str(model), "--seed", "5"], "the model was trained on these records"),
    ):
        assert study.main(["search", *given, *more]) == 2
        error = capsys.readouterr().err
        assert says in error and len(error.splitlines()) == 1
