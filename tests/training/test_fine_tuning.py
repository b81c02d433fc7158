"""Further training of a bundle: never worse on validation records, measured on people it has not seen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

import study
from ecg_study.ecg_data.databases.synthetic import write_synthetic
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.ecg_data.resampling import resample_record
from ecg_study.errors import ModelError
from ecg_study.inference.loading import load_detector
from ecg_study.models.card import read_card
from ecg_study.models.folder import open_model
from ecg_study.training.final_training import build_trained
from ecg_study.training.loop import train
from ecg_study.training.specs import FINE_TUNING, FinishedTraining, TrainingOptions, TrainingSpec
from ecg_study.training.task import TrainingTask
from ecg_study.workflows.settings import Settings
from ecg_study.workflows.training.fine_tune import fine_tune_model
from tests.conftest import SmallData
from tests.known_databases import write_databases
from tests.tiny import TINY, write_preset


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people recorded at 250 Hz by another device: their own records, of which none was seen."""
    made = tmp_path_factory.mktemp("made") / "records"
    write_synthetic(made, seed=7, subjects=16, duration=20.0)
    directory = tmp_path_factory.mktemp("device")
    for name in ("s01", "s02", "s03", "s04", "s05", "s06"):
        record = resample_record(read_record(made / name, lead="all"), 250.0)
        wfdb.wrsamp(
            name,
            fs=250,
            units=["mV"] * len(record.leads),
            sig_name=list(record.leads),
            p_signal=record.signal.astype(np.float64),
            fmt=["16"] * len(record.leads),
            adc_gain=[1000] * len(record.leads),
            baseline=[0] * len(record.leads),
            write_dir=str(directory),
        )
        wfdb.wrann(name, "atr", record.r_peaks, ["N"] * len(record.r_peaks), fs=250, write_dir=str(directory))
    return directory


@pytest.mark.parametrize("rate", [None, "fast", True, 0, -0.1])
def test_a_card_without_a_learning_rate_needs_one(rate: object, tiny_study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_study / "models" / "detector", folder)
    card = json.loads((folder / "card.json").read_text())
    card["hyperparameters"]["learning_rate"] = rate
    (folder / "card.json").write_text(json.dumps(card))
    settings = Settings(output_dir=str(tmp_path / "mine"))
    with pytest.raises(ModelError, match=r"give learning_rate|not a valid model card"):
        fine_tune_model(folder, settings, preset=str(write_preset(tmp_path)), on_progress=lambda *_: None)
    assert not (tmp_path / "mine").exists()


def options(device: Path, tmp_path: Path, preset: Path) -> list[str]:
    text = f"--database folder --raw-dir {device} --data-dir {tmp_path / 'data'} --out {tmp_path / 'mine'} --epochs 2"
    return [*text.split(), "--preset", str(preset)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["detector", "denoiser"])
def test_a_bundle_is_trained_further_on_another_device(
    name: str, tiny_study: Path, device: Path, tiny_preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny_study / "models" / name
    assert (
        study.main(["finetune", str(bundle), *options(device, tmp_path, tiny_preset), "--learning-rate", "0.003"]) == 0
    )
    said = capsys.readouterr().out
    assert "Weights kept: " in said and "difference " in said and "too few subjects to tell" in said
    made = json.loads((tmp_path / "mine" / "finetune.json").read_text())
    assert made["loss_after"] <= made["loss_before"]
    assert sorted(record for part in made["parts"].values() for record in part) == [f"s0{n}" for n in range(1, 7)]
    card, old = read_card(tmp_path / "mine" / "models" / name), read_card(bundle)
    assert (card.fs, card.segment_samples) == (old.fs, old.segment_samples)
    # Those that it has been trained on are known by their content, from now on the new ones as well.
    trained = {*made["parts"]["train"], *made["parts"]["validation"]}
    assert trained <= set(card.data["signals"]) and len(card.data["signals"]) > len(trained)
    page = (tmp_path / "mine" / "models" / name / "CARD.md").read_text()
    assert "too few to test significance" in page and "| too few subjects |" in page
    if name == "detector":
        record = read_record(device / made["parts"]["test"][0], annotator=None)
        found = load_detector(tmp_path / "mine" / "models" / name).detect(record.signal, fs=250.0)
        assert len(found) > 0
    assert study.main(["finetune", str(bundle), *options(device, tmp_path, tiny_preset)]) == 2
    assert "exists; choose another output folder" in capsys.readouterr().err


@pytest.mark.slow
def test_records_that_were_trained_on_are_not_tested_on(
    tiny_study: Path, raw_dir: Path, tiny_preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(tiny_study / "models" / "detector")
    assert study.main(["finetune", bundle, *options(raw_dir, tmp_path, tiny_preset), "--seed", "2"]) == 2
    assert "the model was trained on these records" in capsys.readouterr().err
    assert not (tmp_path / "mine" / "models").exists()


@pytest.mark.slow
def test_subjects_that_were_trained_on_are_not_tested_on(
    tiny_study: Path, tiny_preset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Record sel100 of the QT database is an excerpt of record 100 of MIT-BIH, at another sampling rate."""
    bundle = tmp_path / "model"
    shutil.copytree(tiny_study / "models" / "detector", bundle)
    card = json.loads((bundle / "card.json").read_text())
    card["data"] |= {"database": "mitdb", "records": {"train": ["100"]}, "signals": {}}
    (bundle / "card.json").write_text(json.dumps(card))
    raw = write_databases(tmp_path) / "qtdb"
    words = [word if word != "folder" else "qtdb" for word in options(raw, tmp_path, tiny_preset)]
    assert study.main(["finetune", str(bundle), *words]) == 2
    assert "sel100: the model was trained on the subjects of these records" in capsys.readouterr().err
    assert not (tmp_path / "mine" / "models").exists()


def _fine_tune(
    task: TrainingTask, hyperparameters: dict[str, Any], weights: list[np.ndarray], learning_rate: float
) -> FinishedTraining:
    spec = TrainingSpec(id=FINE_TUNING, epochs=1, hyperparameters=hyperparameters)
    options = TrainingOptions.for_fine_tuning(learning_rate)
    return train(task, spec, options=options, seed=1, initial_weights=weights)


@pytest.mark.slow
def test_what_does_not_help_is_not_kept(tiny_study: Path, small_data: SmallData) -> None:
    bundle = open_model(tiny_study / "models" / "detector")
    task = TrainingTask("detector", small_data.cache, small_data.split, TINY)
    weights = bundle.model.get_weights()
    tuned = _fine_tune(task, bundle.card.hyperparameters, weights, 1e-12)
    assert tuned.result.score is not None and tuned.initial_loss is not None
    assert tuned.result.score <= tuned.initial_loss
    worse = _fine_tune(task, bundle.card.hyperparameters, weights, 30.0)
    assert (worse.result.best_epoch, worse.result.score) == (0, worse.initial_loss)
    spec = TrainingSpec(id=FINE_TUNING, epochs=1, hyperparameters=bundle.card.hyperparameters)
    for kept, came in zip(build_trained(task, spec, training=worse).get_weights(), weights, strict=True):
        np.testing.assert_array_equal(kept, came)


@pytest.mark.slow
def test_weights_of_another_model_are_refused(tiny_study: Path, small_data: SmallData) -> None:
    task = TrainingTask("detector", small_data.cache, small_data.split, TINY)
    card = read_card(tiny_study / "models" / "detector")
    with pytest.raises(ModelError, match="do not fit the hyperparameters of its card"):
        _fine_tune(task, card.hyperparameters, [np.zeros(3)], 1e-3)


def test_records_are_brought_to_another_rate_with_their_annotations(raw_dir: Path) -> None:
    record = read_record(raw_dir / "s02")
    brought = resample_record(record, 250.0)
    assert brought.fs == 250.0
    assert abs(len(brought.signal) - len(record.signal) * 250 / 360) < 1
    np.testing.assert_allclose(brought.r_peaks / 250, record.r_peaks / 360, atol=0.5 / 250 + 1e-9)
    back = resample_record(brought, 360.0)
    inner = slice(360, -360)
    assert np.abs(back.signal[: len(record.signal)][inner] - record.signal[: len(back.signal)][inner]).std() < 0.02
