"""Reports of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ecg_study.reports.report import REPORT_FORMAT
from ecg_study.reports.schema import dump_report, parse_report
from ecg_study.reports.schema_upgrade import READABLE_FORMATS, upgrade_report
from tests.conftest import ROOT

PUBLISHED = sorted(ROOT.glob("docs/*/report.json"))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: str(path.parent.name))
def test_published_reports_can_be_read(path: Path) -> None:
    report = parse_report(path.read_text(encoding="utf-8"))
    assert report.format == REPORT_FORMAT
    assert report.data.excluded_segments > 0
    assert "201" in report.data.excluded_records
    assert parse_report(dump_report(report)) == report


def test_current_reports_are_not_changed() -> None:
    content = json.loads(dump_report(parse_report(PUBLISHED[0].read_text(encoding="utf-8"))))
    before = json.dumps(content)
    assert json.dumps(upgrade_report(content)) == before
    assert READABLE_FORMATS[-1] == REPORT_FORMAT


def test_the_model_for_thresholds_keeps_its_role() -> None:
    report = parse_report((ROOT / "docs" / "mitdb-robust" / "report.json").read_text(encoding="utf-8"))
    trained = [(item.task, item.role, item.seed_index) for item in report.trainings]
    assert trained == [
        *(("denoiser", "final", seed) for seed in (1, 2, 3)),
        ("detector", "thresholds", 1),
        *(("detector", "final", seed) for seed in (1, 2, 3)),
    ]
