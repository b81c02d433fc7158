"""Saved reports: a damaged one is one line, and a report is written by one process, completely or not at all."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import study
from ecg_study.errors import InputError, StateError
from ecg_study.files import write_text
from ecg_study.reports.publish import only_report, publish
from ecg_study.reports.schema import read_report
from ecg_study.workflows.reporting.compare import compare_studies, render_comparison
from tests.make_fixtures import TINY_STUDY_DIR

REPORT = json.loads((TINY_STUDY_DIR / "report.json").read_text())

DAMAGE: dict[str, bytes] = {
    "empty": b"",
    "deep": b"[" * 200_000,
    "not UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "no keys": json.dumps({"format": REPORT["format"]}).encode(),
    "old and empty": b'{"format": 2}',
    "format of another kind": b'{"format": [2]}',
    "NaN": json.dumps(REPORT | {"missing": float("nan")}).encode(),
    "text for a list": json.dumps(REPORT | {"searches": "all"}).encode(),
    "no parts": json.dumps(REPORT | {"data": REPORT["data"] | {"parts": {}}}).encode(),
}


def _out(folder: Path, content: bytes) -> Path:
    folder.mkdir()
    (folder / "report.json").write_bytes(content)
    return folder


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("verb", ["report --render", "compare"])
def test_a_damaged_report_is_one_line(
    verb: str, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _out(tmp_path / "out", DAMAGE[damage])
    given = ["compare", str(out), str(out)] if verb == "compare" else [*verb.split(), "--out", str(out)]
    assert study.main(given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "report.json: not a readable report (" in line
    assert [path.name for path in out.iterdir()] == ["report.json"]


def test_a_report_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    out = _out(tmp_path / "out", b"")
    with open(out / "report.json", "wb") as target:
        target.truncate(2_000_000_000)
    with pytest.raises(StateError, match="more than the limit"):
        read_report(out / "report.json")


def _places(value: Any, *before: Any) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return [before] + [place for key, item in items for place in _places(item, *before, key)]


_PLACES = [place for place in _places(REPORT) if place]
_ODD: st.SearchStrategy[Any] = st.sampled_from([None, True, -1, 10**30, 1.5, "", "x", [], {}, [[]], {"a": 1}])


@given(place=st.sampled_from(_PLACES), value=_ODD)
def test_any_changed_report_is_compared_or_refused(
    place: tuple[Any, ...], value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    changed = copy.deepcopy(REPORT)
    *where, last = place
    inner = changed
    for key in where:
        inner = inner[key]
    inner[last] = value
    path = tmp_path_factory.getbasetemp() / "changed.json"
    path.write_text(json.dumps(changed))
    try:
        render_comparison(compare_studies(path, TINY_STUDY_DIR))
    except StateError as error:
        assert "\n" not in str(error)


def _writer(text: str) -> Callable[[Path], None]:
    def write(staging: Path) -> None:
        for name in ("report.json", "report.md"):
            write_text(staging / name, text)

    return write


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


NAMES = ("report.json", "report.md")


def test_one_process_writes_a_report_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with only_report(out):
        publish(out, _writer("1"), names=NAMES)
        with pytest.raises(StateError, match="another process is writing a report here"), only_report(out):
            pass
    assert _names(out) == ["report.json", "report.md"]
    with only_report(out):
        publish(out, _writer("2"), names=NAMES)
    assert (out / "report.md").read_text() == "2"


@pytest.mark.parametrize("renamed", range(4))
def test_a_report_that_was_moved_into_place_is_completed(
    renamed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process had been killed before its n-th rename."""
    with only_report(tmp_path):
        publish(tmp_path, _writer("old"), names=NAMES)
    rename, calls = Path.rename, 0

    def last_rename(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > renamed:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", last_rename)
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt), only_report(tmp_path):
            publish(tmp_path, _writer("new"), names=NAMES)
    with only_report(tmp_path):
        assert {(tmp_path / name).read_text() for name in NAMES} == {"new"}
    assert _names(tmp_path) == ["report.json", "report.md"]


def test_half_a_report_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".report-abc").mkdir()
    (tmp_path / ".report-abc" / "report.md").write_text("half")
    with only_report(tmp_path):
        pass
    assert _names(tmp_path) == []


def test_a_full_disk_leaves_the_old_report(tmp_path: Path) -> None:
    def fail(staging: Path) -> None:
        (staging / "report.md").write_text("half")
        raise OSError(28, "No space left on device")

    with only_report(tmp_path):
        publish(tmp_path, _writer("old"), names=NAMES)
    with pytest.raises(OSError, match="No space"), only_report(tmp_path):
        publish(tmp_path, fail, names=NAMES)
    assert {(tmp_path / name).read_text() for name in NAMES} == {"old"}
    assert _names(tmp_path) == ["report.json", "report.md"]


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"), only_report(tmp_path / "file"):
        pass
