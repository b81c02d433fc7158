"""The built distribution: complete, and usable without a checkout and without TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.tiny import ROOT

pytestmark = pytest.mark.slow

_FOLDERS = ("ecg_study", "ecg_data", "search_spaces", "reports")
_MODULES = {
    **{"scikit-learn": "sklearn", "PyWavelets": "pywt", "keras-tuner": "keras_tuner", "Jinja2": "jinja2"},
    **{"markdown-it-py": "markdown_it", "pillow": "PIL"},
}
"""Modules whose distribution has another name."""

_BASE_INSTALLATION = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
import ecg_study
from ecg_study.cli.main import main
print(ecg_study.__file__)
sys.exit(main(sys.argv[2:]))
"""


def modules_of_extras() -> list[str]:
    """Return the modules that a base installation does not have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    chosen = ("study", "training", "optuna", "tensorboard")
    names = {Requirement(item).name for extra in chosen for item in extras[extra]}
    # The extra study contains the extra training. matplotlib, which the base installation has, needs pillow.
    return sorted(_MODULES.get(name, name) for name in names - {"ecg-study", "pillow"})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist and the wheel built from it, from a copy of what git tracks."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    files = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in files:
        path = ROOT / name
        if name and (path.is_file() or path.is_symlink()):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                (source / name).symlink_to(path.readlink())
            else:
                (source / name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


def test_the_wheel_holds_every_module_and_data_file(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = set()
    for folder in _FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            # The links in ecg_study/ lead to folders that are listed themselves.
            linked = any(part.is_symlink() for part in (path, *path.parents))
            if path.is_file() and not linked and "__pycache__" not in path.parts:
                name = path.relative_to(ROOT).as_posix()
                expected.add(name if folder == "ecg_study" else f"ecg_study/{name}")
    assert packed == expected
    assert "ecg_study/models/pretrained/gru-detector/model.onnx" in packed
    assert "ecg_study/reports/templates/report.css" in packed


def test_the_sdist_holds_the_sources_and_the_license(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "ecg_data/readers/edf.py"} <= names


@pytest.fixture(scope="module")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel."""
    (wheel,) = built.glob("*.whl")
    directory = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    return directory


def run(site: Path, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program from the unpacked wheel, without the packages of any extra."""
    command = [sys.executable, "-P", "-c", _BASE_INSTALLATION, ",".join(modules_of_extras()), *arguments]
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_the_base_installation_predicts(site: Path, raw_dir: Path, tmp_path: Path) -> None:
    assert {"tensorflow", "keras", "psutil", "jinja2", "loky"} <= set(modules_of_extras())
    done = run(site, tmp_path, "predict", str(raw_dir / "s01"), "--out", "out", "--formats", "csv,wfdb,json,plot")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site)), "the unpacked wheel was imported, not the checkout"
    table = (tmp_path / "out" / "predictions" / "s01.beats.csv").read_text(encoding="utf-8").splitlines()
    assert table[0] == "R_peak,time_s,confidence,rr_s"
    assert len(table) > 20


@pytest.mark.parametrize(
    "arguments", [["--help"], ["models"], ["predict", "--help"], ["evaluate", "--help"]], ids=" ".join
)
def test_the_base_installation_shows_help_and_models(site: Path, tmp_path: Path, arguments: list[str]) -> None:
    done = run(site, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", ["plan", "search", "report", "run", "report --render", "finetune gru-detector"])
def test_verbs_of_a_study_say_what_to_install(site: Path, tmp_path: Path, verb: str) -> None:
    done = run(site, tmp_path, *verb.split())
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and 'pip install ".[study]"' in done.stderr
    assert list(tmp_path.iterdir()) == []
