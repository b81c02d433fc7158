"""The README says what the program does."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import study
from ecg_study.workflows.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_option_and_verb_exists(capsys: pytest.CaptureFixture[str]) -> None:
    helps = ""
    for verb in ("run", "prepare", "plan", "search", "report", "export", "compare", "predict", "models", "finetune"):
        with pytest.raises(SystemExit):
            study.main([verb, "--help"])
        helps += capsys.readouterr().out
    mentioned = set(re.findall(r"--[a-z][a-z-]+", README)) - {"--help"}
    assert mentioned
    assert {option for option in mentioned if option not in helps} == set()


def test_defaults_are_those_of_the_program() -> None:
    for name in ("database", "preset"):
        assert re.search(rf"\| `--{name}` \|.*\| `{getattr(Settings(), name)}` \|", README)
    assert f"| {Settings().segment_samples}, {Settings().window_samples}, {Settings().noise_sigma_mv} |" in README


def test_every_target_link_and_picture_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z]+)", README):
        if target not in {"it"}:
            assert f"\n{target}:" in makefile
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link
    assert "@@" not in README


def test_the_python_example_runs(
    tiny_study: Path,
    raw_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    shutil.copytree(tiny_study / "models", tmp_path / "outputs" / "models")
    shutil.copytree(raw_dir, tmp_path / "data" / "raw" / "synthetic-v1-seed1")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("[")


def test_using_bundles_needs_a_part_of_the_packages_in_the_same_versions() -> None:
    def pinned(name: str) -> set[str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return {line for line in lines if line and not line.startswith("#")}

    assert pinned("requirements-predict.txt") < pinned("requirements.txt")


def test_every_page_of_the_documentation_is_about_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("predict", "finetune"):
        with pytest.raises(SystemExit):
            study.main([verb, "--help"])
    offered = capsys.readouterr().out
    page = (ROOT / "docs" / "reuse.md").read_text(encoding="utf-8")
    for option in set(re.findall(r"--[a-z][a-z-]+", page)):
        assert option in offered
    for link in re.findall(r"\]\(([^)#]+)\)", page):
        assert (ROOT / "docs" / link).exists(), link


def test_the_examples_of_the_page_on_reuse_run(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "reuse.md").read_text(encoding="utf-8")
    shutil.copytree(tiny_study / "models", tmp_path / "outputs" / "models")
    monkeypatch.chdir(tmp_path)
    signal = np.random.default_rng(0).normal(0, 0.3, 5000)
    names: dict[str, Any] = {"signal": signal, "device": [np.column_stack([signal, signal])] * 2}
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/reuse.md", "exec"), names)
    assert names["clean"].shape == signal.shape
    assert isinstance(names["last"].samples, np.ndarray)
