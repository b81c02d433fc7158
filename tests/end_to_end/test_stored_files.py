"""Files that version 0.1.0 wrote: each loads, with the same results.

``tests/fixtures/v0.1.0`` is a study of that version on the records of the fixture ``raw_dir``, with the preset
``robust`` made tiny. ``expected.npz`` holds what its models gave for record s02.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import study
from ecg_study.ecg_data.databases.catalog import open_database, split_database
from ecg_study.ecg_data.noise_records import open_noise_records
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.ecg_data.segments.cache import SegmentCache, open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.errors import StateError
from ecg_study.inference import lead_stream
from ecg_study.inference.lead_stream import SegmentFunction, SegmentStitcher
from ecg_study.inference.loading import load_denoiser, load_detector
from ecg_study.models.card import DENOISER, DETECTOR, MODEL_KINDS
from ecg_study.reports.markdown import to_markdown
from ecg_study.reports.publish import report_page
from ecg_study.reports.schema import read_report
from ecg_study.search_spaces.built_in import PRETRAINED
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.start import load_same_search
from ecg_study.tuning.state import load_search, search_directory
from tests.tiny import ROOT, TINY

STORED = ROOT / "tests" / "fixtures" / "v0.1.0"

ROBUST = replace(
    PRETRAINED,
    name="robust",
    max_epochs=2,
    segments_per_epoch=32,
    batch_size=16,
    final_epochs=2,
    seeds=1,
    denoiser=TINY.denoiser,
    detector=TINY.detector,
)
"""The preset of the stored study."""


@pytest.fixture(scope="module")
def cache_of_today(raw_dir: Path, noise_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> SegmentCache:
    """The cache that the stored study had, built by this version."""
    data_dir = tmp_path_factory.mktemp("data")
    settings = SegmentSettings(segment_samples=720, window_samples=144, augmented=True)
    database = open_database("folder", data_dir=data_dir, raw_dir=raw_dir)
    return open_cache(database, settings, data_dir=data_dir, noise=open_noise_records(noise_dir))


def test_settings_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--config", str(STORED / "settings.toml"), "--out", str(tmp_path)]
    assert study.main(["models", *options]) == 0
    assert capsys.readouterr().err == ""


def test_a_cache_for_augmentation_is_built_again(cache_of_today: SegmentCache) -> None:
    """Its signals without baseline wander were filtered in another way, so it has another key and another folder."""
    stored = json.loads((STORED / "manifest.json").read_text())
    assert cache_of_today.key != stored["key"]
    made = json.loads((cache_of_today.directory / "manifest.json").read_text())
    assert made == stored | {"key": cache_of_today.key}


def test_models_give_the_same_results(raw_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_in_0_1_0(run: SegmentFunction, samples: int, *, outputs: int, **_: object) -> SegmentStitcher:
        """Segments of a denoiser overlapped by a quarter, too."""
        return SegmentStitcher(run, samples, outputs=outputs)

    monkeypatch.setattr(lead_stream, "SegmentStitcher", as_in_0_1_0)
    expected = np.load(STORED / "expected.npz")
    record = read_record(raw_dir / "s02")
    peaks = load_detector(STORED / "models" / "detector").detect(record.signal[:, 0], fs=360.0)
    np.testing.assert_array_equal(peaks.samples, expected["samples"])
    np.testing.assert_allclose(peaks.confidences, expected["confidences"], atol=1e-4)
    denoised = load_denoiser(STORED / "models" / "denoiser").denoise(record.signal[:, 0], fs=360.0)
    np.testing.assert_allclose(denoised[:3600], expected["denoised"], atol=1e-4)


def test_a_report_is_read_and_rendered() -> None:
    report = read_report(STORED / "report.json")
    assert [(item.task, item.role) for item in report.trainings] == [
        (DENOISER, "final"),
        (DETECTOR, "thresholds"),
        (DETECTOR, "final"),
    ]
    assert "## Summary" in to_markdown(report_page(report, []))


def test_a_report_is_compared_with_one_of_today(tiny_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.main(["compare", str(STORED), str(tiny_study)]) == 0
    captured = capsys.readouterr()
    assert "RMSE" in captured.out and captured.err == ""


@pytest.mark.parametrize("name", MODEL_KINDS)
def test_a_search_is_read(name: str) -> None:
    search = load_search(search_directory(STORED, name))
    stored = json.loads((STORED / "search" / name / "search.json").read_text())
    assert search.done and len(search.trials) == len(stored["finished"])


def test_a_search_is_not_resumed_on_other_segments(cache_of_today: SegmentCache, raw_dir: Path) -> None:
    split = split_database(open_database("folder", raw_dir=raw_dir), cache_of_today.records, seed=1)
    for name in MODEL_KINDS:
        task = TrainingTask(name, cache_of_today, split, ROBUST)
        with pytest.raises(StateError, match="pass restart to search to start over"):
            load_same_search(task, search_directory(STORED, name), seed=1)
