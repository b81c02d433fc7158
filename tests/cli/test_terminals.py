"""Terminals of any kind are written to: without Unicode, without a width, and when nobody reads any more."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import study
from ecg_study.cli.console import is_interactive, open_console
from ecg_study.cli.verbs import VERBS
from ecg_study.ecg_data.readers.opening import recording_name
from tests.inference.test_detector import ecg
from tests.tiny import ROOT


class Terminal:
    """Standard output and standard error with an encoding."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
        self.written = {name: io.BytesIO() for name in ("stdout", "stderr")}
        self.encoding = encoding
        for name, target in self.written.items():
            monkeypatch.setattr(sys, name, io.TextIOWrapper(target, encoding=encoding, errors="strict"))

    def text(self, name: str = "stdout") -> str:
        getattr(sys, name).flush()
        return self.written[name].getvalue().decode(self.encoding)


@pytest.mark.parametrize("verb", ["", *(verb.name for verb in VERBS)])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_help_is_written_in_any_encoding(verb: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch, encoding)
    with pytest.raises(SystemExit) as left:
        study.main([*([verb] if verb else []), "--help"])
    assert left.value.code == 0
    text = terminal.text()
    assert text.startswith("usage: ")
    assert "\\u" not in text, "a character of our own texts has no plain form"


@pytest.mark.parametrize("name", ["é", "心", "a\x1b[31mb", "\udcff", "→"])
def test_names_are_written_without_unicode(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"{name}.npy"
    try:
        np.save(path, ecg(360)[:3600])
    except (OSError, UnicodeError):
        pytest.skip("the file system has no such name")
    terminal = Terminal(monkeypatch, "ascii")
    assert study.main(["predict", str(path), "--fs", "360", "--formats", "csv,json", "--out", str(tmp_path)]) == 0
    assert "R peaks" in terminal.text()
    assert "\x1b" not in terminal.text()
    assert study.main(["predict", str(path) + "x", "--out", str(tmp_path)]) == 2
    (line,) = terminal.text("stderr").splitlines()
    assert "no such file" in line


def test_a_name_that_is_not_utf_8_is_in_every_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "\udcffx.npy"
    try:
        np.save(path, ecg(360)[:3600])
    except (OSError, UnicodeError):
        pytest.skip("the file system has no such name")
    formats = "csv,samples,wfdb,json,plot"
    assert study.main(["predict", str(path), "--fs", "360", "--formats", formats, "--out", str(tmp_path)]) == 0
    capsys.readouterr().out.encode()
    assert len(list((tmp_path / "predictions").iterdir())) == 5
    summary = (tmp_path / "predictions" / "\udcffx.beats.json").read_text(encoding="ascii")
    assert "\\\\udcffx.npy" in summary


def test_a_folder_that_settings_cannot_name_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["search", "--out", str(tmp_path / "\udcff"), "--data-dir", str(tmp_path / "data")]
    assert study.main(given) == 2
    assert "is not in UTF-8; rename it" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", ["0", "1", "19", "00"])
def test_a_terminal_without_a_width_is_written_to(
    size: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", size)
    monkeypatch.setenv("LINES", "0")
    assert study.main(["models"]) == 0
    assert "gru-detector: detector, " in capsys.readouterr().out
    assert open_console().size == (80, 25)


def test_a_width_that_is_known_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "133")
    assert open_console().width == 133


def test_a_dumb_terminal_gets_plain_lines() -> None:
    for term, drawn in (("dumb", False), ("unknown", False), ("xterm", True)):
        console = Console(force_terminal=True, _environ={"TERM": term})
        assert is_interactive(console) == drawn
    assert not is_interactive(Console(file=io.StringIO()))


class Closed(io.RawIOBase):
    """A pipe that nobody reads after some writes."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.left -= 1
        if self.left < 0:
            raise BrokenPipeError(32, "Broken pipe")
        return len(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("writes", [0, 1])
@pytest.mark.parametrize("words", [["models"], ["--help"], ["predict", "--help"]])
def test_a_reader_that_has_enough_is_no_error(
    words: list[str], writes: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(Closed(writes), 64), encoding="utf-8"))
    try:
        assert study.main(words) == 0
    except SystemExit as left:
        assert left.code == 0
    assert capsys.readouterr().err == ""
    monkeypatch.undo()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell and /dev/full")
@pytest.mark.parametrize(
    ("shell", "code", "error"),
    [
        ("{} models | head -1; exit ${{PIPESTATUS[0]}}", 0, ""),
        ("{} predict --help | true; exit ${{PIPESTATUS[0]}}", 0, ""),
        ("{} predict a.npy --fs 360 --out o | true; exit ${{PIPESTATUS[0]}}", 2, "standard output was closed"),
        ("{} models >&-", 0, ""),
        ("{} models 2>&-", 0, ""),
        ("{} predict nothing >&- 2>&-", 2, ""),
        ("{} models > /dev/full", 2, "is the disk full?"),
        ("TERM=dumb COLUMNS=0 LANG=C PYTHONIOENCODING=ascii {} models", 0, ""),
    ],
)
def test_streams_of_a_shell(shell: str, code: int, error: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ecg(360)[:3600])
    command = shell.format(f"{sys.executable} -m ecg_study.cli.main")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert error in done.stderr
    assert len(done.stderr.splitlines()) == bool(error)


def test_control_characters_do_not_reach_the_names_of_results() -> None:
    assert recording_name(Path("e\x1b[31m\n.csv.gz")) == "e_[31m_"
    assert recording_name(Path("Müller 1.csv")) == "Müller 1"
