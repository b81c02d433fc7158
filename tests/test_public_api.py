"""The public names of the package, and what importing them loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ecg_study as es
from tests.tiny import ROOT

HEAVY = ("tensorflow", "keras", "keras_tuner", "dask", "distributed", "matplotlib", "sklearn")

POSIX_ONLY = ("fcntl", "resource", "termios", "pwd", "grp")

MODULES = sorted(
    ".".join(["ecg_study", *path.relative_to(ROOT / "ecg_study").with_suffix("").parts]).removesuffix(".__init__")
    for package in ("", "ecg_data", "reports", "search_spaces")
    for path in (ROOT / "ecg_study" / package).rglob("*.py")
)


def _run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_public_name_exists() -> None:
    for name in es.__all__:
        assert getattr(es, name) is not None
    assert set(es.__all__) <= set(dir(es))
    assert issubclass(es.ModelError, es.EcgStudyError) and issubclass(es.InputError, ValueError)
    with pytest.raises(AttributeError, match="has no attribute 'load_modle'"):
        es.load_modle  # noqa: B018


@pytest.mark.slow
def test_importing_and_detecting_load_no_heavy_package() -> None:
    code = f"""
import sys
import numpy as np
import ecg_study as es
assert "scipy" not in sys.modules, "the package alone loads nothing"
peaks = es.load_model("gru-detector").detect(np.random.default_rng(0).normal(0, 0.2, 3600), fs=360)
assert es.Study and es.list_models()
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    assert _run(code).strip() == "[]"


@pytest.mark.slow
def test_every_module_can_be_imported_without_posix_modules() -> None:
    """Nothing at import needs what Windows lacks. Third-party packages are loaded before."""
    code = f"""
import importlib, os, signal, sys
import dask.distributed, filelock, loky, matplotlib.pyplot, optuna, tensorflow, wfdb
for name in {POSIX_ONLY!r}:
    sys.modules[name] = None
for name in ("sysconf", "fork", "killpg", "getpgid"):
    if hasattr(os, name):
        delattr(os, name)
del signal.SIGKILL, signal.SIGHUP
for name in sys.argv[1:]:
    importlib.import_module(name)
print(len(sys.argv) - 1)
"""
    modules = [name for name in MODULES if name != "ecg_study.training.executors.dask_preload"]
    assert len(modules) > 80
    assert _run(code, *modules).strip() == str(len(modules))


def test_the_example_of_the_design_works(raw_dir: Path) -> None:
    """Load a model, read a record, detect, denoise, stream."""
    detector = es.load_model("gru-detector")
    record = es.read_record(raw_dir / "s01", lead="MLII")
    peaks = detector.detect(record.signal, fs=record.fs)  # type: ignore[union-attr]
    assert len(peaks.samples) == len(peaks.confidences)
    clean = es.load_model("lstm-denoiser").denoise(record.signal, fs=record.fs)  # type: ignore[union-attr]
    assert clean.shape == record.signal.shape
    stream = detector.stream(fs=250, n_leads=2)
    stream.push(np.zeros((250, 2)))
    stream.finish()
    data = es.open_database("folder", raw_dir=raw_dir)
    assert data.name == "folder"
