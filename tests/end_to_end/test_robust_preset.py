"""A tiny study with the preset ``robust``: trained with recorded noise, on training and validation records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import study
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.evaluation.results.values import LSTM
from ecg_study.inference.loading import load_denoiser, load_detector
from ecg_study.models.card import read_card
from ecg_study.reports.schema import read_report
from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.search_spaces.preset_files import save_preset
from tests.tiny import TINY

pytestmark = pytest.mark.slow

ROBUST = PRESETS["robust"]


@pytest.fixture(scope="module")
def robust_study(raw_dir: Path, noise_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The outputs of the study, and its data options."""
    directory = tmp_path_factory.mktemp("robust")
    tiny = replace(
        ROBUST,
        name="tiny-robust",
        hours=None,
        max_epochs=2,
        segments_per_epoch=32,
        batch_size=16,
        final_epochs=2,
        seeds=1,
        denoiser=TINY.denoiser,
        detector=TINY.detector,
    )
    data = ["--database", "folder", "--raw-dir", str(raw_dir), "--noise-dir", str(noise_dir)]
    options = [*data, "--data-dir", str(directory / "data"), "--segment-samples", "720"]
    preset = directory / "tiny-robust.toml"
    save_preset(tiny, preset)
    options += ["--preset", str(preset)]
    assert study.main(["run", *options, "--workers", "0", "--out", str(directory / "out")]) == 0
    return directory / "out", options


def _without_segment(options: list[str]) -> list[str]:
    """Return the options for fine-tuning, which takes the segment length from the model."""
    place = options.index("--segment-samples")
    return options[:place] + options[place + 2 :]


def test_report_and_cards_describe_the_training(robust_study: tuple[Path, list[str]]) -> None:
    out, _ = robust_study
    report = read_report(out / "report.json")
    assert report.denoiser is not None and report.denoiser.removes_baseline_wander
    trained = [(item.task, item.role, "val_loss" in item.history[-1]) for item in report.trainings]
    assert trained == [
        (task, *role) for task in ("denoiser", "detector") for role in (("thresholds", True), ("final", False))
    ]
    ends = {(item.task, item.best_epoch) for item in report.trainings}
    assert ends == {("denoiser", 2), ("detector", 2)}, "each ends with its last weights"
    for task, names in (("denoiser", {"removed_power"}), ("detector", {"r_peak", "window"})):
        thresholds = [item.thresholds for item in report.trainings if item.task == task]
        assert thresholds[0] == thresholds[1], "chosen by the model that was not trained on the validation records"
        assert set(thresholds[0]) == names
        assert read_card(out / "models" / task).thresholds == thresholds[1]
    page = (out / "report.md").read_text()
    assert "because all choices had been made by then, also on the validation records" in page
    assert "Recorded noise at an SNR of" in page and "also removes baseline wander" in page
    harm = report.denoiser.harm
    assert harm is not None and {cell.noise_type for cell in harm.noisy} == {"bw", "em", "ma", "mix"}
    ours = next(cell for cell in harm.clean if cell.method == LSTM)
    assert ours.change is not None and f"| {ours.change.value:.1f} [" in page.split("### Denoising without harm")[1]
    assert (out / "plots" / "harm.png").is_file() and "](plots/harm.png)" in page
    metrics = load_denoiser(out / "models" / "denoiser").card.metrics
    cell = next(cell for cell in harm.noisy if (cell.noise_type, cell.snr, cell.method) == ("mix", 24, LSTM))
    stored = metrics["test, whole records, mix"]["24 dB"]
    assert stored["above the high-pass of the reference in dB"]["value"] == cell.above_highpass.value
    assert cell.morphology is not None and stored["ST level changed by 0.1 mV or more"] == cell.morphology.false_st
    assert metrics["test, whole records, no noise added"]["change in dB"]["value"] == ours.change.value
    methods = {item.method for item in report.denoiser.summaries}
    assert {"zero-phase high-pass, 0.67 Hz", "high-pass and stationary wavelet"} < methods
    card = (out / "models" / "denoiser" / "CARD.md").read_text()
    assert "on training and validation records together" in card and "Baseline wander is removed as well" in card
    learnt = len(report.data.parts["train"].records) + len(report.data.parts["validation"].records)
    assert f"trained on {learnt} records." in card
    assert "50 % of the segments inverted" in card and "pause" not in card
    assert "Measured on recordings without their baseline wander" in card and "electrode motion artifact (em)" in card
    assert "The noise of training and of the tests is from the same database" in card
    card = (out / "models" / "detector" / "CARD.md").read_text()
    assert (
        "10 % of the segments with a pause of 0.8 to 6 s, with P waves in 50 % of the pauses" in card
        and " 0 %" not in card
    )


def test_models_remove_wander_and_find_both_polarities(robust_study: tuple[Path, list[str]], raw_dir: Path) -> None:
    out, _ = robust_study
    denoiser, detector = load_denoiser(out / "models" / "denoiser"), load_detector(out / "models" / "detector")
    assert denoiser.card.baseline_wander == "removed" and detector.card.polarity == "either"
    assert denoiser.card.data["augmentation"]["removes_drift"]
    signal = read_record(raw_dir / "s02").signal[:, 0]
    for runtime in ("onnx", "keras"):
        made = load_denoiser(out / "models" / "denoiser", runtime=runtime).denoise(signal + 50, fs=360.0)
        assert abs(np.median(made)) < 1
    np.testing.assert_allclose(denoiser.denoise(signal, fs=360.0), made, atol=1e-3)


def test_fine_tuning_prepares_the_noise_and_refuses_the_records_of_the_training(
    robust_study: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data are prepared with recorded noise; then the records are refused, since the model was trained on them."""
    out, options = robust_study
    model = str(out / "models" / "detector")
    assert study.main(["finetune", model, *_without_segment(options), "--out", str(tmp_path), "--epochs", "1"]) == 2
    assert "the model was trained on these records" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
