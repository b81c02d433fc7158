"""Reports of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ecg_study.evaluation.results.values import GRU, LSTM, NOISY
from ecg_study.reports.report import REPORT_FORMAT
from ecg_study.reports.schema import dump_report, parse_report
from ecg_study.reports.schema_upgrade import READABLE_FORMATS, upgrade_report
from tests.tiny import ROOT

PUBLISHED = sorted(ROOT.glob("docs/*/report.json"))
OLD_REPORT = ROOT / "tests" / "fixtures" / "v0.1.0" / "report.json"


@pytest.fixture
def old() -> Any:
    """Return the content of a report of version 0.1.0."""
    return json.loads(OLD_REPORT.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: str(path.parent.name))
def test_published_reports_can_be_read(path: Path) -> None:
    report = parse_report(path.read_text(encoding="utf-8"))
    assert report.format == REPORT_FORMAT
    assert report.data.excluded_segments > 0
    assert "201" in report.data.excluded_records
    assert parse_report(dump_report(report)) == report


def test_current_reports_are_not_changed(old: Any) -> None:
    assert old["format"] == 3
    content = json.loads(dump_report(parse_report(json.dumps(old))))
    before = json.dumps(content)
    assert json.dumps(upgrade_report(content)) == before
    assert READABLE_FORMATS[-1] == REPORT_FORMAT


def test_a_report_of_format_2_lacks_augmentation(old: Any) -> None:
    for training in old["trainings"]:
        del training["augmentation"]
    if old["denoiser"]:
        del old["denoiser"]["removes_drift"]
    old["format"] = 2
    report = parse_report(json.dumps(old))
    assert all(training.augmentation == {} for training in report.trainings)
    assert report.denoiser is None or not report.denoiser.removes_baseline_wander


def test_the_model_for_thresholds_keeps_its_role(old: Any) -> None:
    numbers = [(item["task"], item["number"]) for item in old["trainings"]]
    report = parse_report(json.dumps(old))
    assert ("detector", 0) in numbers
    assert [(item.task, item.seed_index, item.role) for item in report.trainings] == [
        (task, number or 1, "final" if number else "thresholds") for task, number in numbers
    ]


def test_values_are_kept(old: Any) -> None:
    report = parse_report(json.dumps(old))
    assert report.denoiser is not None and report.detector is not None
    for stored, item in zip(old["comparisons"], report.comparisons, strict=True):
        assert item.difference.value == stored["gain"]["value"]
        assert item.significant == stored["real"]
    ours = next(item for item in old["denoiser"]["summaries"] if item["method"] == LSTM)
    assert report.denoiser.summaries[-1].metrics["rmse"].low == ours["figures"]["rmse"]["low"]
    counts = [row["whole"]["150"] for row in old["detector"]["peaks_by_record"]]
    assert [list(row.counts[150]) for row in report.detector.peaks_by_record] == counts
    for stored, item in zip(old["detector"]["paired"], report.detector.paired, strict=True):
        assert (item.model, item.reference) == (GRU, stored["baseline"])
        assert item.metric == f"R peaks: F1 at {stored['tolerance_ms']} ms"
        peaks = next(
            row
            for row in old["detector"]["peaks"]
            if (row["detector"], row["input"], row["tolerance_ms"], row["skipped"])
            == (stored["baseline"], NOISY, stored["tolerance_ms"], False)
        )
        assert item.reference_value.value == peaks["f1"]["value"]


def test_notes_keep_only_the_reasons(old: Any) -> None:
    report = parse_report(json.dumps(old))
    assert report.denoiser is not None
    assert (report.denoiser.noise_note == "") == bool(old["denoiser"]["noise"])
    old["stress"] = {
        "rows": [],
        "note": "Noise of electrode motion. 118e, 119e is left out: its records do not lie beside the noise records. "
        "No test record is longer than five minutes.",
    }
    report = parse_report(json.dumps(old))
    assert report.stress is not None
    assert report.stress.note == (
        "118e, 119e were not measured: its records do not lie beside the noise records. No test record is longer than "
        "five minutes."
    )
