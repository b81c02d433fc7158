"""Tests of the evaluation of models on records that they were not trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ecg_study as es
import study
from ecg_study.ecg_data.databases.catalog import Database, open_database, split_database
from ecg_study.evaluation.experiments.model_evaluation import DetectorEvaluation
from ecg_study.evaluation.metrics import pooled_f1
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector
from ecg_study.models.card import read_card
from ecg_study.workflows.evaluate import evaluate_on, evaluation_lines, metric_rows, open_records
from tests.known_databases import write_databases
from tests.models.model_files import copy_pretrained

DETECTOR, DENOISER = "gru-detector", "lstm-denoiser-white"


@pytest.fixture(scope="module")
def data(raw_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Return the small synthetic database."""
    return open_database("folder", data_dir=tmp_path_factory.mktemp("data"), raw_dir=raw_dir)


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Return the pretrained detector."""
    loaded = es.load_model(DETECTOR)
    assert isinstance(loaded, Detector)
    return loaded


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    """Return the pretrained denoiser for white noise."""
    loaded = es.load_model(DENOISER)
    assert isinstance(loaded, Denoiser)
    return loaded


def test_a_detector_has_f1_by_tolerance_and_input(data: Database, detector: Detector) -> None:
    result = es.evaluate(detector, data)
    f1 = result.f1(tolerance_ms=150)
    assert isinstance(f1, es.Estimate)
    assert 0.9 < f1.low <= f1.value <= f1.high <= 1
    assert result.f1(tolerance_ms=50).value <= f1.value
    assert result.f1(condition="all leads").value > 0.9
    assert result.window_f1(condition="gaussian").value > 0.9
    assert result.noise_stress == {}, "it needs noise records"
    assert (result.model, result.part, result.parameters) == ("detector", "test", detector.card.parameters)
    with pytest.raises(
        es.InputError, match="f1: no result for tolerance_ms=100, condition='recorded'; choose tolerance"
    ):
        result.f1(tolerance_ms=100)


def test_a_denoiser_has_errors_and_snr_improvements(data: Database, denoiser: Denoiser, noise_dir: Path) -> None:
    result = es.evaluate(denoiser, data, noise_dir=noise_dir)
    assert 0 < result.mae().value < result.rmse().value < 0.05
    assert result.snr_improvement(noise="gaussian", snr_db=6).value > 5
    assert {noise for noise, _ in result.snr_improvement_by_record} == {"gaussian", "bw", "em", "ma", "mix"}
    without = es.evaluate(denoiser, data)
    assert {noise for noise, _ in without.snr_improvement_by_record} == {"gaussian"}
    assert without.rmse() == result.rmse()
    with pytest.raises(es.InputError, match=r"noise='em'.*choose noise from 'gaussian' and snr_db from -6, 0, 6, 12"):
        without.snr_improvement(noise="em", snr_db=6)


def test_harm_is_measured_of_a_denoiser_that_removes_baseline_wander(
    data: Database, denoiser: Denoiser, noise_dir: Path
) -> None:
    (first, *_) = split_database(data, data.records, seed=1).test
    wander_denoiser = es.load_model("lstm-denoiser")
    assert isinstance(wander_denoiser, Denoiser)
    assert es.evaluate(denoiser, data, records=[first]).harm is None, "this one keeps it"
    result = es.evaluate(wander_denoiser, data, noise_dir=noise_dir, records=[first])
    assert result.harm is not None
    assert {(cell.noise_type, cell.snr) for cell in result.harm.noisy} == {
        ("mix", snr) for snr in (24, 18, 12, 6, 0, -6)
    }
    lines = [line.split(maxsplit=1)[1] for line in evaluation_lines(result)]
    (at,) = (number for number, line in enumerate(lines) if line.startswith("whole recordings, mix"))
    assert lines[at].endswith("24 / 18 / 12 / 6 / 0 / -6 dB")
    assert sum("moved ST 0.1 mV / QRS / QT 20 ms" in line for line in lines) == 18, "six methods at 24, 6 dB and clean"
    assert any(line.startswith("high-pass of the reference, 0.5 Hz") and line.endswith("no change") for line in lines)
    without = es.evaluate(wander_denoiser, data, records=[first])
    assert without.harm is not None and without.harm.noisy == []
    assert without.harm.clean == result.harm.clean


@pytest.mark.parametrize("name", [DETECTOR, "lstm-denoiser"])
def test_the_cards_get_the_metrics(name: str, raw_dir: Path, tmp_path: Path) -> None:
    model = copy_pretrained(tmp_path / "models" / name, name=name)
    before = read_card(model)
    options = ["--database", "folder", "--raw-dir", str(raw_dir), "--data-dir", str(tmp_path), "--write-card"]
    assert study.main(["evaluate", str(model), *options]) == 0
    card = read_card(model)
    assert replace(card, metrics=before.metrics) == before
    result = es.evaluate(str(model), open_database("folder", raw_dir=raw_dir))
    if isinstance(result, DetectorEvaluation):
        stored = card.metrics["test, as recorded, R peaks within 50 ms"]["f1"]["value"]
        assert stored == pytest.approx(result.f1(tolerance_ms=50).value, abs=1e-6)
    else:
        assert card.metrics["test, mean over records"]["rmse"]["value"] == pytest.approx(result.rmse().value, abs=1e-6)
        assert card.metrics["test, whole records, no noise added"]["change in dB"]["value"] < 0
    page = (model / "CARD.md").read_text()
    assert page.count("## Results") == 1 and page.index("## Data") < page.index("## Results")
    assert page.find("## Lim") == -1 or page.index("## Results") < page.index("## Lim"), "a study's page goes on"
    assert "which the model has not seen, by `ecg-study evaluate" in page
    assert all(f"{name:54} {value}".rstrip() in page for name, value in metric_rows(result))
    assert str(tmp_path) not in page
    with_records = study.main(["evaluate", str(model), *options, "--records", "s01"])
    assert with_records == 2, "a card holds metrics of all records"


def test_the_validation_part_has_its_own_records_and_noise(data: Database, detector: Detector, noise_dir: Path) -> None:
    result = es.evaluate(detector, data, part="validation", noise_dir=noise_dir)
    records = split_database(data, data.records, seed=1).validation
    assert len(result.peak_counts["recorded", 150]) == len(records)
    assert list(result.noise_stress) == [12, 6, 0, -6]


def test_unsuitable_records_are_refused(data: Database, detector: Detector) -> None:
    (first, *_) = split_database(data, data.records, seed=1).test
    with pytest.raises(es.InputError, match="part: 'train' is unknown; choose from test, validation"):
        es.evaluate(detector, data, part="train")
    with pytest.raises(es.InputError, match="records: x9: not in the test part; choose from s"):
        es.evaluate(detector, data, records=["x9"])
    digests = [digest for name, digest in data.checksums.items() if name == f"{first}.dat"]
    card = replace(detector.card, data={"signals": {"under another name": digests}})
    with pytest.raises(es.ModelError, match=f"mine: was trained on {first}; evaluate it on other records"):
        es.evaluate(Detector(card, detector.runtime), data, name="mine")
    with pytest.raises(es.ModelError, match="mine: expects 250 Hz, but the records have 360 Hz"):
        evaluate_on(Detector(replace(detector.card, fs=250.0), detector.runtime), open_records(data), name="mine")


def test_records_are_resampled_to_the_rate_of_the_model(data: Database) -> None:
    halved = open_records(data, fs=180.0)
    for at_180, at_360 in zip(halved.leads, open_records(data).leads, strict=True):
        assert (at_180.record, at_180.fs, len(at_180.clean)) == (at_360.record, 180.0, len(at_360.clean) // 2)
        assert np.abs(at_180.r_peaks - at_360.r_peaks / 2).max() <= 1


def test_a_model_is_not_evaluated_on_its_subjects(detector: Detector, tmp_path: Path) -> None:
    raw = write_databases(tmp_path)
    qtdb = open_database("qtdb", raw_dir=raw / "qtdb")
    both = open_database("mitdb,qtdb", raw_dir=raw)

    def trained_on(database: str, *records: str) -> Detector:
        return Detector(
            replace(detector.card, data={"database": database, "records": {"train": list(records)}}), detector.runtime
        )

    with pytest.raises(es.ModelError, match="mine: was trained on the subjects of sel100; evaluate it on other"):
        es.evaluate(trained_on("mitdb", "100"), qtdb, name="mine")
    with pytest.raises(es.ModelError, match="mine: was trained on the subjects of mitdb/100, qtdb/sel100; evaluate"):
        es.evaluate(trained_on("qtdb,cinc2014", "qtdb/sel100"), both, name="mine")
    result = es.evaluate(trained_on("mitdb", "101"), qtdb, name="mine")
    assert result.peak_counts["recorded", 150][0, :2].tolist() == [28, 0], "all beats of sel100, resampled, are found"
    assert es.evaluate(trained_on("folder", "sel100"), qtdb).model == "detector", "a record of the same name"

    first = {"database": "mitdb", "records": {"train": ["100"]}}
    second = {"database": "folder", "records": {"train": ["x"]}, "fine_tuned_from": {"sha256": "0", "data": first}}
    third = {"database": "folder", "records": {"train": ["y"]}, "fine_tuned_from": {"sha256": "1", "data": second}}
    tuned = Detector(replace(detector.card, data=third), detector.runtime)
    with pytest.raises(es.ModelError, match="mine: was trained on the subjects of sel100; evaluate it on other"):
        es.evaluate(tuned, qtdb, name="mine")
    damages: tuple[object, ...] = ({}, {"data": None}, {"data": {"records": []}}, "x")
    for damaged in damages:
        card = replace(detector.card, data={**second, "fine_tuned_from": damaged})
        with pytest.raises(es.ModelError, match="model card: fine_tuned_from does not say"):
            es.evaluate(Detector(card, detector.runtime), qtdb)


def test_results_are_listed_for_each_database(detector: Detector, denoiser: Denoiser, tmp_path: Path) -> None:
    both = open_database("mitdb,qtdb", raw_dir=write_databases(tmp_path))
    found = es.evaluate(Detector(replace(detector.card, data={}), detector.runtime), both)  # trained on other data
    assert found.records == split_database(both, both.records, seed=1).test
    of_mitdb = [record.startswith("mitdb/") for record in found.records]
    rows = found.peak_counts["recorded", 50][of_mitdb]
    assert found.f1(tolerance_ms=50, database="mitdb").value == pooled_f1(rows)
    assert found.f1(tolerance_ms=50).value == pooled_f1(found.peak_counts["recorded", 50])
    lines = [line.split(maxsplit=1)[1] for line in evaluation_lines(found)]
    assert sum(line.startswith("mitdb: records / beats ") and line.endswith(" 2 / 56") for line in lines) == 1
    assert sum(line.startswith("qtdb: R peaks, marks at the R peaks: F1 within 50 ms") for line in lines) == 1
    denoised = es.evaluate(denoiser, both)
    values = denoised.snr_improvement_by_record["gaussian", 6]
    assert denoised.snr_improvement(noise="gaussian", snr_db=6, database="mitdb").value == values[of_mitdb].mean()
    assert denoised.mae(database="qtdb").value == denoised.mae_by_record[~np.array(of_mitdb)].mean()
    assert any("qtdb: gaussian: SNR improvement in dB" in line for line in evaluation_lines(denoised))
    with pytest.raises(
        es.InputError, match="database: 'cinc2014' has none of the records; choose from 'mitdb', 'qtdb'"
    ):
        found.f1(database="cinc2014")


def test_the_command_prints_the_same_metrics(
    data: Database, raw_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--database", "folder", "--raw-dir", str(raw_dir), "--data-dir", str(tmp_path)]
    assert study.main(["evaluate", DENOISER, DETECTOR, *options]) == 0
    lines = [line for name in (DENOISER, DETECTOR) for line in evaluation_lines(es.evaluate(name, data))]
    assert capsys.readouterr().out.splitlines() == lines
    assert any(line.startswith(f"{DETECTOR:24} R peaks, as recorded: F1 within 150 ms ") for line in lines)
