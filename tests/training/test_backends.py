"""Training on each backend of Keras: the same losses, the same models, and one line where a backend is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ecg_study.errors import SettingsError, StateError, TrainingError
from ecg_study.extras import BACKENDS, backend_name, install_hint, require_packages
from ecg_study.training import environment as versions
from ecg_study.tuning.state import SearchStateFile
from tests.tiny import PROGRAM, ROOT

_TOLERANCE = 1e-5
"""Largest relative difference of losses and outputs between two backends over `STEPS` steps; 5e-7 was measured."""

_MISSING = [name for name in BACKENDS if find_spec(name) is None]


@pytest.fixture(autouse=True)
def all_backends_in_ci() -> None:
    if _MISSING and os.environ.get("ECG_TEST_BACKENDS") == "all":
        pytest.fail(f"{', '.join(_MISSING)}: not installed, but ECG_TEST_BACKENDS=all requires every backend")


def run(backend: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with a backend. Warnings of Keras about its use are errors."""
    command = [sys.executable, "-W", "error:The structure of `inputs`", *arguments]
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that each installed backend has trained from the same weights with the same batches."""
    from tests.training.backend_steps import write_start

    folder = tmp_path_factory.mktemp("backends")
    write_start(folder)
    installed = [name for name in BACKENDS if name not in _MISSING]
    for backend in installed:
        run(backend, "-m", "tests.training.backend_steps", "train", str(folder), str(folder / backend))
    for backend in installed:
        run(backend, "-m", "tests.training.backend_steps", "apply", str(folder))
    return folder


def skip_missing(*backends: str) -> None:
    for name in backends:
        if name in _MISSING:
            pytest.skip(f"{name} is not installed")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["denoiser", "detector"])
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_each_backend_gives_the_losses_of_tensorflow(trained: Path, backend: str, kind: str) -> None:
    skip_missing(backend, BACKENDS[0])
    with (
        np.load(trained / BACKENDS[0] / kind / "trained.npz") as expected,
        np.load(trained / backend / kind / "trained.npz") as found,
    ):
        # The logarithm of a denoiser's error falls slowly.
        assert expected["losses"][-1] < 0.98 * expected["losses"][0], "it has learned something"
        for name in ("losses", "output"):
            np.testing.assert_allclose(found[name], expected[name], rtol=_TOLERANCE, atol=_TOLERANCE, err_msg=name)
        # The area counts windows above thresholds: one of 32 windows moves it.
        rounding = 0.03 if kind == "detector" else _TOLERANCE
        np.testing.assert_allclose(found["metrics"], expected["metrics"], rtol=_TOLERANCE, atol=rounding)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["denoiser", "detector"])
@pytest.mark.parametrize("opened_by", BACKENDS)
@pytest.mark.parametrize("saved_by", BACKENDS)
def test_a_model_of_one_backend_opens_in_the_others(trained: Path, saved_by: str, opened_by: str, kind: str) -> None:
    skip_missing(saved_by, opened_by)
    with np.load(trained / saved_by / kind / "trained.npz") as saved:
        output = np.load(trained / saved_by / kind / f"{opened_by}.npy")
        np.testing.assert_allclose(output, saved["output"], rtol=_TOLERANCE, atol=_TOLERANCE)


@pytest.mark.slow
@pytest.mark.timeout(900)  # 80 s on a quiet machine, 340 s on a busy one
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_study_runs_on_another_backend(backend: str, small_options: list[str], tmp_path: Path) -> None:
    """Search, final training, report with its models, and export."""
    skip_missing(backend)
    out = str(tmp_path / "outputs")
    run(backend, "-c", PROGRAM, "run", *small_options, "--out", out)
    run(backend, "-c", PROGRAM, "export", "--out", out)


def test_a_backend_that_cannot_train_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "foo")
    with pytest.raises(SettingsError, match="KERAS_BACKEND: 'foo' is not a backend that can train; use tensorflow, "):
        backend_name()
    with pytest.raises(SettingsError, match="KERAS_BACKEND: 'foo'"):
        require_packages()


def test_a_missing_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr("ecg_study.extras.find_spec", lambda name: None if name == "torch" else object())
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(TrainingError, match=r"torch: not installed, .*KERAS_BACKEND.*; pip install torch"):
        require_packages()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    require_packages()
    assert '".[training]"' in install_hint("loky")


def test_the_backend_comes_from_the_environment_then_from_the_file_of_keras(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert backend_name() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert backend_name() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert backend_name() == "torch"


def test_versions_name_the_backend_and_keep_their_keys_with_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert versions.packages() == ("tensorflow", "keras", "keras-tuner", "numpy")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert versions.packages() == ("jax", "jaxlib", "keras", "keras-tuner", "numpy")
    assert {"jax", "jaxlib", "code of this project"} <= set(versions.environment())
    assert "tensorflow" not in versions.environment()


def test_a_search_is_not_resumed_on_another_backend(tmp_path: Path) -> None:
    """Searches of earlier versions, and those with TensorFlow, name no backend."""
    file = SearchStateFile(tmp_path)
    file.check_same({"seed": 1}, {"seed": 1})
    file.check_same({"seed": 1, "KERAS_BACKEND": "jax"}, {"seed": 1, "KERAS_BACKEND": "jax"})
    message = (
        'saved search used KERAS_BACKEND = "tensorflow", but KERAS_BACKEND = "torch" was requested; use KERAS_BACKEND'
    )
    with pytest.raises(StateError, match=message):
        file.check_same({"seed": 1}, {"seed": 1, "KERAS_BACKEND": "torch"})
