"""README and docs: every command, option, name, path and link exists, and the Python code runs."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ecg_study as es
from ecg_study.cli.parser import build_parser
from ecg_study.models.card import CARD_FILE
from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.workflows.settings import Settings
from tests.tiny import ROOT

README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
GENERATED = {"mitdb-robust", "mitdb-standard", "mitdb-white"}
"""Folders of docs/ that the program wrote."""

_PROGRAMS = (["ecg-study"], ["python", "study.py"])
_ABSENT = re.compile(
    r"^(data/raw|outputs|train|trainings|measured|search|models|csv|plots|recordings|mine|mitdb|nstdb)\b"
)
"""Paths that a study makes or that belong to the user."""


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of one language of a page."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of every command line of the program on a page, in blocks and in running text."""
    text = page.read_text(encoding="utf-8")
    inline = [code for code in re.findall(r"`([^`\n]+)`", text) if not re.search(r"[A-Z]{4}|…", code)]
    shown = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    for line in (*shown.splitlines(), *inline):
        words = shlex.split(line, comments=True)
        for program in _PROGRAMS:
            if words[: len(program)] == program and len(words) > len(program):
                yield words[len(program) :]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_accepted_by_the_parser(page: Path) -> None:
    parser = build_parser("ecg-study", "")
    found = list(commands(page))
    for words in found:
        parser.parse_args(words)  # raises on an unknown verb, option or choice
    if page.name in {"README.md", "usage.md", "study.md"}:
        assert len(found) >= 4


def test_every_option_in_the_text_exists(capsys: pytest.CaptureFixture[str]) -> None:
    helps = ""
    parser = build_parser("ecg-study", "")
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    for verb in re.findall(r"^  ([a-z]+) +\w", capsys.readouterr().out, re.MULTILINE):
        with pytest.raises(SystemExit):
            parser.parse_args([verb, "--help"])
        helps += capsys.readouterr().out
    for name in ("README.md", "docs/usage.md", "docs/study.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--help"}
        assert mentioned
        assert {option for option in mentioned if option not in helps} == set(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_public_name_exists(page: Path) -> None:
    for name in set(re.findall(r"\bes\.(\w+)", page.read_text(encoding="utf-8"))):
        assert hasattr(es, name), name


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_link_and_path_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        if path.startswith("http"):
            continue
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, link
    for path in re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", text):
        if not _ABSENT.match(path) and not (ROOT / path).exists():
            assert (ROOT / "ecg_study" / path).exists(), path
    for target in re.findall(r"`make ([a-z-]+)", text):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8"), target
    for module in re.findall(r"python -m (benchmarks\.[\w.]+|tests\.\w+)", text):
        place = ROOT / module.replace(".", "/")
        assert place.with_name(f"{place.name}.py").is_file() or (place / "__main__.py").is_file(), module


def test_the_readme_is_short_and_shows_the_models_first() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 110
    headings = [line for line in lines if line.startswith("## ")]
    assert headings[:4] == ["## Pretrained models", "## Install", "## Use a model", "## Run a study"]
    first_screen = "\n".join(lines[:25])
    assert "docs/pretrained.png" in first_screen and "| `gru-detector`" in first_screen


def test_the_pages_name_every_pretrained_model() -> None:
    names = {path.parent.name for path in (ROOT / "ecg_study" / "models" / "pretrained").glob(f"*/{CARD_FILE}")}
    assert len(names) == 3
    for page in (README, ROOT / "docs" / "models.md"):
        assert all(f"`{name}`" in page.read_text(encoding="utf-8") for name in names)


@pytest.fixture
def records_of_a_reader(raw_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the record ``mitdb/100`` that the README reads: made of a synthetic record, with lead MLII."""
    import wfdb

    source = wfdb.rdrecord(str(raw_dir / "s01"))
    beats = wfdb.rdann(str(raw_dir / "s01"), "atr")
    directory = tmp_path / "mitdb"
    directory.mkdir()
    wfdb.wrsamp(
        "100",
        fs=source.fs,
        units=["mV"],
        sig_name=["MLII"],
        p_signal=source.p_signal[:, :1],
        fmt=["16"],
        adc_gain=[1000],
        baseline=[0],
        write_dir=str(directory),
    )
    wfdb.wrann("100", "atr", beats.sample, beats.symbol, fs=source.fs, write_dir=str(directory))
    monkeypatch.chdir(tmp_path)
    return directory


def test_the_python_code_of_the_readme_runs(records_of_a_reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(README, "python")
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    annotated = es.read_record(records_of_a_reader / "100").r_peaks
    assert len(names["peaks"].samples) == pytest.approx(len(annotated), abs=2)
    assert names["clean"].shape == names["record"].signal.shape
    assert re.fullmatch(r"\d+ beats\n", capsys.readouterr().out)


def test_the_python_code_of_the_usage_page_runs() -> None:
    signal = np.random.default_rng(0).normal(0, 0.3, 5000)
    names: dict[str, Any] = {"signal": signal, "device": [np.column_stack([signal, signal])] * 2}
    shown, detailed, measured, streamed = blocks(ROOT / "docs" / "usage.md", "python")
    for code in (shown, detailed, streamed):
        exec(compile(code, "docs/usage.md", "exec"), names)
    assert names["clean"].shape == names["made"].removed.shape == signal.shape
    assert isinstance(names["last"].samples, np.ndarray)
    assert "es.evaluate(" in measured  # runs in tests/evaluation on a database with test records


def test_the_python_code_of_the_models_page_runs() -> None:
    (code,) = blocks(ROOT / "docs" / "models.md", "python")
    names: dict[str, Any] = {"signal": np.random.default_rng(0).normal(0, 0.3, 5000)}
    exec(compile(code, "docs/models.md", "exec"), names)
    assert names["clean"].shape == (5000,)


def test_the_table_of_options_gives_the_defaults_of_the_program() -> None:
    page = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    defaults = Settings()
    for name in ("database", "preset"):
        assert re.search(rf"\| `--{name}` \|.*\| `{getattr(defaults, name)}` \|", page)
    numbers = f"{defaults.segment_samples}, {defaults.window_samples}, {defaults.noise_sigma_mv}"
    assert f"| {numbers} |" in page
    assert all(f"`{name}" in page for name in PRESETS)


def test_requirements_pin_every_dependency_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert version, f"{line}: is no exact version"
            pins[canonicalize_name(name)] = version
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    backends = {"torch", "jax", "jaxlib"}  # instead of TensorFlow, in no extra
    found = set()
    for requirement in map(Requirement, wanted):
        if requirement.name != project["name"]:  # an extra that contains another
            name = canonicalize_name(requirement.name)
            assert requirement.specifier.contains(pins[name]), requirement
            found.add(name)
    assert set(pins) == found | backends
