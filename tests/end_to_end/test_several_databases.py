"""A study of several databases, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import study
from tests.known_databases import write_databases


@pytest.mark.slow
def test_a_study_with_one_database_left_for_the_test(
    tiny_preset: Path, noise_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write_databases(tmp_path / "raw", groups={f"cinc{number}": f"g{number // 2}" for number in range(12)})
    out = tmp_path / "out"
    data = ["--database", "mitdb,qtdb,cinc2014", "--test-database", "qtdb", "--raw-dir", str(raw)]
    data += ["--data-dir", str(tmp_path / "data"), "--noise-dir", str(noise_dir)]
    options = [*data, "--segment-samples", "720", "--preset", str(tiny_preset), "--workers", "0", "--out", str(out)]
    assert study.main(["run", *options]) == 0
    report = json.loads((out / "report.json").read_text())
    tested = ["sel301", "sel302", "sel306", "sel307", "sele0121", "sele0122"]
    assert report["data"]["parts"]["test"]["records"] == [f"qtdb/{name}" for name in tested]
    assert report["data"]["database"] == "mitdb,qtdb,cinc2014"
    assert report["data"]["fs"] == 360
    assert report["data"]["version"] == "mitdb 1.0.0, qtdb 1.0.0, cinc2014 1.0.0"
    page = (out / "report.md").read_text()
    assert "**mitdb 1.0.0, qtdb 1.0.0, cinc2014 1.0.0**. MIT-BIH Arrhythmia Database" in page
    assert "All records of qtdb are tested. The models were trained on the other databases only." in page
    assert "The marks of qtdb and cinc2014 were moved to the R peaks" in page
    assert "No subject is in more than one part, of any database." in page
    assert "segments in which not all beats are annotated are excluded" in page
    assert "qtdb and cinc2014 were moved" in (out / "models" / "detector" / "CARD.md").read_text()
    assert sorted(path.name for path in (out / "csv").iterdir()) == [f"qtdb-{name}.csv" for name in tested]
    assert len(pd.read_csv(out / "csv" / "qtdb-sel301.csv")) == pytest.approx(24 * 360, abs=2)
    assert study.main(["report", *options, "--render"]) == 0
    assert study.main(["report", "--config", str(out / "settings.toml"), "--sections", "failures"]) == 0
    capsys.readouterr()

    assert json.loads((out / "models" / "detector" / "card.json").read_text())["data"]["aligned_marks"] is True
    model = str(out / "models" / "detector")
    assert study.main(["evaluate", model, *data]) == 0
    printed = capsys.readouterr().out
    assert "R peaks, as recorded: F1 within 150 ms" in printed
    assert "R peaks, marks at the R peaks: F1 within 50 ms" in printed
    prepared = [word for word in options if word not in ("--workers", "0", "--out", str(out))]
    assert study.main(["prepare", *prepared]) == 0
    assert "qtdb/sel301 +0 ms" in capsys.readouterr().out
    assert study.main(["prepare", *prepared, "--own-marks"]) == 0
    assert "marks moved" not in capsys.readouterr().out
    assert study.main(["evaluate", model, "--database", "qtdb", "--raw-dir", str(raw / "qtdb")]) == 2
    assert "was trained on the subjects of sel100; evaluate it on other records" in capsys.readouterr().err
    assert study.main(["evaluate", model, "--database", "mitdb", "--raw-dir", str(raw / "mitdb")]) == 2
    assert "was trained on 100, 202; evaluate it on other records" in capsys.readouterr().err
