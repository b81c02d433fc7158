"""Tests of prediction on recordings: file formats in, CSV, WFDB, JSON and plot files out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

import study
from ecg_study.ecg_data.readers.opening import open_recording
from ecg_study.ecg_data.readers.recording import ReadOptions
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.errors import ModelError, SettingsError
from ecg_study.inference.detector import Detector
from ecg_study.inference.loading import DEFAULT_MODEL, load_denoiser, load_detector, load_model
from ecg_study.prediction.csv_files import rr_intervals, write_beats_csv
from ecg_study.prediction.outputs import find_named_recordings
from ecg_study.prediction.recordings import detect_recording
from ecg_study.prediction.summary import summarize_detection
from tests.inference.test_detector import CARD, SECONDS, SlopeRuntime, ecg

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def models(tiny_study: Path) -> dict[str, str]:
    return {name: str(tiny_study / "models" / name) for name in ("denoiser", "detector")}


def errors(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> list[str]:
    assert study.main(["predict", *arguments]) == code
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("ecg-study: error: ") for line in lines)
    return lines


def test_r_peaks_are_written_in_every_format(models: dict[str, str], raw_dir: Path, tmp_path: Path) -> None:
    options = ["--formats", "csv,samples,wfdb,json,plot", "--out", str(tmp_path)]
    assert study.main(["predict", str(raw_dir / "s02"), "--model", models["detector"], *options]) == 0
    made = tmp_path / "predictions"
    assert sorted(path.name for path in made.iterdir()) == [
        *("s02.beats.csv", "s02.beats.json", "s02.beats.png", "s02.qrs", "s02.samples.csv")
    ]
    record = read_record(raw_dir / "s02", annotator=None)
    found = load_detector(models["detector"]).detect(record.signal, fs=360.0)
    beats = pd.read_csv(made / "s02.beats.csv")
    assert list(beats.columns) == ["R_peak", "time_s", "confidence", "rr_s"]
    assert len(beats) > 10
    np.testing.assert_array_equal(beats["R_peak"], found.samples)
    np.testing.assert_allclose(beats["rr_s"][1:], np.diff(found.samples) / 360, atol=1e-5)
    annotations = wfdb.rdann(str(made / "s02"), "qrs")
    np.testing.assert_array_equal(annotations.sample, found.samples)
    assert annotations.fs == 360 and set(annotations.symbol) == {"N"}
    samples = pd.read_csv(made / "s02.samples.csv")
    assert list(samples.columns) == ["time_s", "signal_mv", "R_peak"]
    np.testing.assert_array_equal(np.flatnonzero(samples["R_peak"]), found.samples)
    summary = json.loads((made / "s02.beats.json").read_text())
    assert summary["beats"] == len(found)
    assert summary["mean_rate_bpm"] == pytest.approx(60 / np.mean(np.diff(found.samples) / 360), abs=0.01)
    assert summary["unusable_share"] == 0 and "Not a medical device" in summary["disclaimer"]


def test_denoised_signals_are_written_in_every_format(models: dict[str, str], raw_dir: Path, tmp_path: Path) -> None:
    options = ["--formats", "csv,wfdb,json,plot", "--lead", "all", "--out", str(tmp_path)]
    assert study.main(["predict", str(raw_dir / "s02.hea"), "--model", models["denoiser"], *options]) == 0
    made = tmp_path / "predictions"
    assert sorted(path.name for path in made.iterdir()) == [
        *("s02.denoised.csv", "s02.denoised.json", "s02.denoised.png", "s02_denoised.dat", "s02_denoised.hea")
    ]
    record = read_record(raw_dir / "s02", lead="all", annotator=None)
    wanted = load_denoiser(models["denoiser"]).denoise(record.signal, fs=360.0)
    table = pd.read_csv(made / "s02.denoised.csv")
    both = [f"{lead}{what}_mv" for what in ("", "_denoised") for lead in record.leads]
    assert list(table.columns) == ["time_s", *both]
    np.testing.assert_allclose(table[both[2:]], wanted, atol=1e-4)
    np.testing.assert_allclose(table[both[:2]], record.signal, atol=1e-4)
    cleaned = read_record(made / "s02_denoised", lead="all", annotator=None)  # checks length and checksums
    assert (cleaned.fs, cleaned.leads) == (360.0, record.leads)
    np.testing.assert_allclose(cleaned.signal, wanted, atol=0.001)
    assert json.loads((made / "s02.denoised.json").read_text())["leads"] == list(record.leads)


def test_all_file_formats_give_the_same_r_peaks(models: dict[str, str], raw_dir: Path, tmp_path: Path) -> None:
    from edfio import Edf, EdfSignal

    record = read_record(raw_dir / "s03", annotator=None)
    signal = record.signal[:, 0].astype(np.float64)
    np.save(tmp_path / "array.npy", signal)
    np.save(tmp_path / "adc.npy", np.round(1000 * signal + 50).astype(np.int16))
    table = pd.DataFrame({"time_s": np.arange(len(signal)) / 360, "ecg": signal, "note": 1.5})
    table.to_csv(tmp_path / "table.csv", index=False)
    padded = np.pad(signal, (0, -len(signal) % 360))
    Edf([EdfSignal(1000 * padded, 360, label="ECG", physical_dimension="uV")]).write(tmp_path / "night.edf")
    options = ["--model", models["detector"], "--out", str(tmp_path), "--formats", "csv"]
    assert study.main(["predict", str(raw_dir / "s03"), *options]) == 0
    files = [str(tmp_path / name) for name in ("table.csv", "night.edf")]
    assert study.main(["predict", *files, *options]) == 0
    assert study.main(["predict", str(tmp_path / "array.npy"), "--fs", "360", *options]) == 0
    adc = ["--fs", "360", "--gain", "1000", "--adc-zero", "50"]
    assert study.main(["predict", str(tmp_path / "adc.npy"), *adc, *options]) == 0
    wanted = pd.read_csv(tmp_path / "predictions" / "s03.beats.csv")["R_peak"]
    assert len(wanted) > 10
    for name in ("array", "adc", "table", "night"):
        found = pd.read_csv(tmp_path / "predictions" / f"{name}.beats.csv")["R_peak"]
        np.testing.assert_array_equal(found, wanted)


def test_an_unreadable_file_of_a_folder_is_reported_and_the_others_are_processed(
    models: dict[str, str], own_raw_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_raw_dir / "s01.dat").write_bytes(b"short")
    (own_raw_dir / "s02.atr").unlink()  # no annotations are needed
    (own_raw_dir / "s04.hea").unlink()
    options = ["--model", models["denoiser"], "--out", str(tmp_path), "--formats", "json"]
    said = errors([str(own_raw_dir), "s09", "--raw-dir", str(own_raw_dir), *options], capsys)
    assert len(said) == 2
    assert "s01.dat: truncated" in said[0]
    assert "s09.hea: no such file" in said[1]
    made = sorted(path.name for path in (tmp_path / "predictions").iterdir())
    assert made == ["s02.denoised.json", "s03.denoised.json", "s05.denoised.json"]
    again = errors([str(own_raw_dir / "s02"), *options], capsys)
    assert re.search(r"s02\.denoised\.json: exists; pass --overwrite", again[0])
    assert study.main(["predict", str(own_raw_dir / "s02"), *options, "--overwrite"]) == 0


def test_two_recordings_of_one_name_do_not_overwrite_each_other(
    models: dict[str, str], raw_dir: Path, own_raw_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = [str(raw_dir / "s01"), str(own_raw_dir / "s01"), "--out", str(tmp_path), "--overwrite"]
    (said,) = errors([*twice, "--model", models["detector"]], capsys)
    assert "already has the results of" in said


def test_other_rates_gaps_and_short_recordings_are_processed(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signal = ecg(250.0)
    signal[1000:2000] = np.nan
    np.save(tmp_path / "gaps.npy", signal)
    np.save(tmp_path / "short.npy", signal[:60])
    options = [*(str(tmp_path / name) for name in ("gaps.npy", "short.npy")), "--fs", "250", "--out", str(tmp_path)]
    for name in ("detector", "denoiser"):
        assert study.main(["predict", *options, "--model", models[name]]) == 0
    summary = json.loads((tmp_path / "predictions" / "gaps.beats.json").read_text())
    assert summary["unusable"] == [[1000, 2000]]
    assert summary["unusable_share"] == pytest.approx(1000 / len(signal), abs=1e-5)
    cleaned = read_missing(tmp_path / "predictions" / "gaps_denoised")
    np.testing.assert_array_equal(np.isnan(cleaned), np.isnan(signal))
    assert "16.7% of the signal unusable" in capsys.readouterr().out


def read_missing(path: Path) -> np.ndarray:
    (block,) = list(open_recording(path, ReadOptions()).blocks())
    return np.asarray(block[:, 0])


def test_a_recording_without_samples_is_reported(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "none.npy", np.full(5000, np.nan))
    options = ["--model", models["detector"], "--fs", "360", "--out", str(tmp_path)]
    (said,) = errors([str(tmp_path / "none.npy"), *options], capsys)
    assert "none.npy: all 5,000 samples of lead 1 are missing (NaN)" in said
    assert not list((tmp_path / "predictions").glob("*"))


def test_files_without_beats_are_valid(tmp_path: Path) -> None:
    np.save(tmp_path / "quiet.npy", np.random.default_rng(0).normal(0, 0.002, 5000))
    recording = open_recording(tmp_path / "quiet.npy", ReadOptions(fs=360.0))
    from ecg_study.prediction.wfdb_files import write_annotations

    beats = detect_recording(Detector(CARD, SlopeRuntime()), recording)
    assert len(beats.r_peaks) == 0
    write_annotations(tmp_path / "quiet.qrs", beats)
    assert len(wfdb.rdann(str(tmp_path / "quiet"), "qrs").sample) == 0
    write_beats_csv(tmp_path / "quiet.csv", beats)
    assert (tmp_path / "quiet.csv").read_text() == "R_peak,time_s,confidence,rr_s\n"
    summary = summarize_detection(beats, model_name="stand-in", runtime="slope")
    assert (summary.beats, summary.mean_rate_bpm, summary.mean_confidence) == (0, None, None)


def test_rr_statistics_by_hand(tmp_path: Path) -> None:
    signal = ecg(360.0)
    signal[3000:5400] = np.nan
    np.save(tmp_path / "a.npy", signal)
    recording = open_recording(tmp_path / "a.npy", ReadOptions(fs=360.0))
    summary = summarize_detection(
        detect_recording(Detector(CARD, SlopeRuntime()), recording), model_name="stand-in", runtime="slope"
    )
    times = np.round(SECONDS * 360) / 360
    before, after = times[times < 3000 / 360], times[times > 5400 / 360]
    rr = np.concatenate([np.diff(before), np.diff(after)])  # none across the gap
    steps = np.concatenate([np.diff(np.diff(before)), np.diff(np.diff(after))])
    assert summary.rr is not None
    assert summary.rr["intervals"] == len(rr)
    assert summary.rr["mean"] == pytest.approx(rr.mean(), abs=1e-4)
    assert summary.rr["sdnn"] == pytest.approx(rr.std(ddof=1), abs=3e-3)
    assert summary.rr["rmssd"] == pytest.approx(np.sqrt(np.mean(steps**2)), abs=3e-3)
    assert summary.mean_rate_bpm == pytest.approx(60 / rr.mean(), abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fs", "0"], "--fs: '0' is not a positive number"),
        ([""], "'' is not the name of a recording or folder; is a variable of the shell empty?"),
        ([" "], "' ' is not the name of a recording or folder"),
        (["--fs", "fast"], "--fs: 'fast' is not a positive number"),
        (["--gain", "-1"], "--gain: '-1' is not a positive number"),
        (["--adc-zero", "nan"], "--adc-zero: 'nan' is not a number"),
        (["--formats", "csv,xls"], "--formats: 'xls' is not one of csv, samples, wfdb, json, plot"),
        (["--formats", "cvs"], "did you mean 'csv'?"),
        (["--formats", ""], "--formats: '' has no name"),
        (["--runtime", "jax"], "--runtime: 'jax' is not one of onnx, keras"),
        (["--units", "mv"], "--units: 'mv' is not one of mV, uV, V; did you mean 'mV'?"),
        (["--preset", "quick"], "--preset: predict has no such option or argument"),
    ],
)
def test_invalid_options_are_refused(
    options: list[str], message: str, raw_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (said,) = errors([str(raw_dir / "s01"), *options], capsys)
    assert message in said


def test_unsure_r_peaks_are_left_out_and_so_are_their_rr_intervals(tmp_path: Path) -> None:
    """Without the unsure beat, the interval to the next beat would span two RR intervals."""
    np.save(tmp_path / "r.npy", ecg(360.0))
    recording = open_recording(tmp_path / "r.npy", ReadOptions(fs=360.0))
    everything = detect_recording(Detector(CARD, SlopeRuntime()), recording)
    heights = everything.r_peaks.confidences
    unsure = int(heights.argmin())
    assert 1 < unsure < len(heights) - 2
    kept = detect_recording(Detector(CARD, SlopeRuntime()), recording, min_confidence=float(heights[unsure]) + 1e-6)
    assert kept.unsure.tolist() == [everything.r_peaks.samples[unsure]]
    rr, wanted = rr_intervals(kept), np.delete(rr_intervals(everything), unsure)
    wanted[unsure] = np.nan
    np.testing.assert_array_equal(rr, wanted)
    assert summarize_detection(kept, model_name="m", runtime="onnx").unsure_beats == 1


def test_single_missing_samples_leave_the_rr_intervals(tmp_path: Path) -> None:
    """Intervals with a missing sample are the long ones, so the rate without them would be too high."""
    signal = ecg(360.0)
    signal[::180] = np.nan
    signal[4000:4036] = np.nan  # 100 ms can hide a QRS complex
    np.save(tmp_path / "r.npy", signal)
    found = detect_recording(Detector(CARD, SlopeRuntime()), open_recording(tmp_path / "r.npy", ReadOptions(fs=360.0)))
    assert len(found.r_peaks.unusable) > 40
    beats = found.r_peaks.samples
    (unknown,) = np.flatnonzero(np.isnan(rr_intervals(found)[1:]))
    assert beats[unknown] < 4000 < beats[unknown + 1]


def test_a_lowest_confidence_can_be_asked_for(
    models: dict[str, str], raw_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, options = str(raw_dir / "s02"), ["--out", str(tmp_path), "--overwrite"]
    for lowest, (least, most) in {"0.0": (10, 1000), "1": (0, 0)}.items():
        assert study.main(["predict", record, "--min-confidence", lowest, *options]) == 0
        summary = json.loads((tmp_path / "predictions" / "s02.beats.json").read_text())
        assert least <= summary["beats"] <= most
        assert (summary["unsure_beats"] > 0) is (lowest == "1")
    assert "0 R peaks, " in capsys.readouterr().out
    denoiser = errors([record, "--model", models["denoiser"], "--min-confidence", "0.9", *options], capsys)
    assert "is a denoiser, which finds no R peaks; choose a detector" in denoiser[0]
    wrong = errors([record, "--min-confidence", "99", *options], capsys)
    assert "'99' is not a number from 0 to 1" in wrong[0]


def test_a_format_that_the_model_does_not_have_is_refused(
    models: dict[str, str], raw_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (said,) = errors([str(raw_dir / "s01"), "--model", models["denoiser"], "--formats", "samples"], capsys)
    assert "a denoiser has no format 'samples'; use csv, wfdb, json, plot" in said


def test_models_are_found_by_name_and_listed(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_study / "models", tmp_path / "outputs" / "models")
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_model("detector"), Detector)
    with pytest.raises(
        ModelError, match=r"other: neither a model folder nor the name of a model; available models: .*denoiser"
    ):
        load_model("other")
    with pytest.raises(ModelError, match="detector: is a detector, not a denoiser"):
        load_denoiser("detector")
    assert study.main(["models"]) == 0
    listed = capsys.readouterr().out
    assert "outputs/models/detector: detector, " in listed
    assert "F1 within 150 ms 0." in listed and "RMSE in mV 0." in listed
    (tmp_path / "outputs" / "models" / "detector" / "model.onnx").write_bytes(b"changed")
    assert study.main(["models"]) == 2
    assert "outputs/models/detector: cannot be used: " in capsys.readouterr().out


def test_a_pretrained_model_is_the_default(
    tiny_study: Path,
    raw_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(tiny_study / "models" / "detector", tmp_path / "pretrained" / DEFAULT_MODEL)
    monkeypatch.setattr("ecg_study.inference.loading.PRETRAINED_DIR", tmp_path / "pretrained")
    named = [str(raw_dir / "s02"), str(raw_dir / "s03")]
    assert study.main(["predict", *named, "--out", str(tmp_path / "a")]) == 0
    assert f"Model: {DEFAULT_MODEL}\n" in capsys.readouterr().out
    model = str(tiny_study / "models" / "detector")
    assert study.main(["predict", *named, "--model", model, "--out", str(tmp_path / "b")]) == 0
    for name in ("s02", "s03"):
        first, second = (tmp_path / out / "predictions" / f"{name}.beats.csv" for out in "ab")
        assert first.read_text() == second.read_text()
    assert study.main(["predict", "s02", "--raw-dir", str(raw_dir), "--out", str(tmp_path / "c")]) == 0
    capsys.readouterr()
    (said,) = errors([*named, "--model", "gru-detectr", "--out", str(tmp_path / "d")], capsys)
    assert f"gru-detectr: neither a model folder nor the name of a model; available models: {DEFAULT_MODEL}" in said
    assert not (tmp_path / "d").exists(), "a misspelled model is not replaced by another"
    (said,) = errors([DEFAULT_MODEL, "--out", str(tmp_path / "d")], capsys)
    assert f"{DEFAULT_MODEL} is a model, not a recording; use --model {DEFAULT_MODEL}" in said


@pytest.mark.slow
def test_predict_needs_neither_tensorflow_nor_keras(models: dict[str, str], raw_dir: Path, tmp_path: Path) -> None:
    code = (
        "import sys, study\n"
        "sys.modules['tensorflow'] = sys.modules['keras'] = sys.modules['keras_tuner'] = None\n"
        "sys.exit(study.main(sys.argv[1:]))"
    )
    options = ["--model", models["detector"], "--out", str(tmp_path), "--formats", "csv,wfdb,json"]
    arguments = ["predict", str(raw_dir / "s02"), *options]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_both_runtimes_detect_the_same_r_peaks(models: dict[str, str], raw_dir: Path) -> None:
    record = read_record(raw_dir / "s02", annotator=None)
    detectors = [load_detector(models["detector"], runtime=runtime) for runtime in ("onnx", "keras")]
    found = [detector.detect(record.signal, fs=360.0) for detector in detectors]
    np.testing.assert_array_equal(found[0].samples, found[1].samples)
    np.testing.assert_allclose(found[0].confidences, found[1].confidences, atol=1e-4)


def test_a_denoised_record_holds_any_offset_and_amplitude(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signal = 40 * ecg(257.13) + 200
    np.save(tmp_path / "a b.npy", signal)
    options = ["--fs", "257.13", "--units", "mV", "--out", str(tmp_path), "--formats", "wfdb"]
    for name in ("denoiser", "detector"):
        assert study.main(["predict", str(tmp_path / "a b.npy"), "--model", models[name], *options]) == 0
    assert "a_b_denoised.hea" in capsys.readouterr().out  # a WFDB name has no blanks
    wanted = load_denoiser(models["denoiser"]).denoise(signal, fs=257.13)
    found = wfdb.rdrecord(str(tmp_path / "predictions" / "a_b_denoised"))
    assert found.fs == 257.13
    np.testing.assert_allclose(found.p_signal[:, 0], wanted, atol=0.002)
    assert wfdb.rdann(str(tmp_path / "predictions" / "a_b"), "qrs").fs == pytest.approx(257.13)


def test_a_folder_of_records_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"raw_dir: .*absent is not a folder"):
        list(find_named_recordings(["100"], tmp_path / "absent"))
