"""Tests of the runtimes: no telemetry, nothing written or sent, forked processes, and bounded batches."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_study.errors import InputError, ModelError
from ecg_study.inference.detector import Detector
from ecg_study.inference.loading import DEFAULT_MODEL, PRETRAINED_DIR, load_model
from ecg_study.models.network_size import NetworkSize
from ecg_study.models.onnx_file import CheckedOnnx, check_onnx
from ecg_study.models.runtimes import KerasRuntime, OnnxRuntime
from tests.inference.test_detector import ecg
from tests.models.model_files import copy_pretrained, node, onnx_model, with_onnx
from tests.tiny import ROOT

PATH = PRETRAINED_DIR / DEFAULT_MODEL / "model.onnx"
SEGMENTS = np.random.default_rng(0).normal(size=(20, 2016)).astype(np.float32)

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}
_SUPPRESSES_TELEMETRY = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
"""Variables with which ONNX Runtime sends nothing anyway, so that a test could not fail."""

_WATCH = """
import os, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        print("NETWORK", event, file=sys.stderr)
sys.addaudithook(watch)
"""


def python(code: str, *arguments: Any, home: Path, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run code in another process with an empty home folder."""
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if name not in (*_SUPPRESSES_TELEMETRY, "XDG_CACHE_HOME")}
    env |= {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(ROOT), **_QUIET}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)


def written(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def predict(tmp_path: Path, runtime: str) -> tuple[set[str], subprocess.CompletedProcess[str]]:
    np.save(tmp_path / "ecg.npy", ecg(360.0))
    code = _WATCH + "import study\nsys.exit(study.main(sys.argv[1:]))\n"
    options = ("--fs", 360, "--output-dir", tmp_path / "out", "--runtime", runtime, "--formats", "csv,samples,json")
    done = python(code, "predict", tmp_path / "ecg.npy", *options, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "predictions" / "ecg.beats.csv").is_file()
    return written(tmp_path / "home"), done


@pytest.mark.slow
def test_a_prediction_writes_only_to_the_output_folder_and_sends_nothing(tmp_path: Path) -> None:
    left, done = predict(tmp_path, "onnx")
    assert left == set()
    assert "NETWORK" not in done.stderr


@pytest.mark.slow
def test_a_prediction_with_keras_writes_only_settings_of_libraries_and_sends_nothing(tmp_path: Path) -> None:
    """Importing Keras writes its settings, and imports Matplotlib, which writes a list of the fonts."""
    left, done = predict(tmp_path, "keras")
    assert {name for name in left if not name.startswith((".keras/keras.json", ".cache/matplotlib/fontlist"))} == set()
    assert "NETWORK" not in done.stderr


@pytest.mark.slow
def test_the_library_leaves_no_identity_of_the_machine(tmp_path: Path) -> None:
    """The same run leaves one if ONNX Runtime decides about its telemetry by itself."""
    used = f"es.load_model({DEFAULT_MODEL!r}, runtime='onnx').detect(np.zeros(4000), fs=360.0)"
    ours = "import numpy as np, ecg_study as es\n" + used
    assert python(ours, home=tmp_path / "ours").returncode == 0
    assert written(tmp_path / "ours") == set()
    theirs = f"import onnxruntime\nonnxruntime.InferenceSession({str(PATH)!r}, providers=['CPUExecutionProvider'])"
    assert python(theirs, home=tmp_path / "theirs").returncode == 0
    assert any("onnxruntime" in name for name in written(tmp_path / "theirs"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_model_that_was_used_can_be_used_in_forked_processes(tmp_path: Path) -> None:
    code = f"""
    import multiprocessing, numpy as np, ecg_study as es
    signal = np.sin(np.arange(20000) / 9)
    detector, denoiser = (es.load_model(name, runtime="onnx") for name in ({DEFAULT_MODEL!r}, "lstm-denoiser"))
    def used(_):
        return detector.detect(signal, fs=360.0).samples.tolist(), denoiser.denoise(signal, fs=360.0).tolist()
    wanted = used(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(used, range(4)) == [wanted] * 4)
    print(used(0) == wanted)
    """
    done = python(code, home=tmp_path / "home", seconds=100)
    assert done.stdout.split() == ["True", "True"], done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_another_process_opens_the_model_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = OnnxRuntime(check_onnx(PATH.read_bytes(), PATH), PATH)
    wanted, before = runtime.run(SEGMENTS), runtime._current
    monkeypatch.setattr(os, "getpid", lambda: before.process_id + 1)
    np.testing.assert_array_equal(runtime.run(SEGMENTS), wanted)
    assert runtime._current.pool is not before.pool and runtime._current.session is not before.session


def test_a_model_can_be_sent_to_another_process() -> None:
    detector = load_model(DEFAULT_MODEL, runtime="onnx")
    assert isinstance(detector, Detector)
    signal = np.sin(np.arange(20_000) / 9)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(partial(detector.detect, fs=360.0), (signal,))
    np.testing.assert_array_equal(found.samples, detector.detect(signal, fs=360.0).samples)


def test_keras_in_a_forked_process_is_an_error_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = KerasRuntime(None, PATH, size=NetworkSize())
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ModelError, match="was opened with Keras before this process was forked") as caught:
        runtime.run(SEGMENTS)
    assert caught.value.parameters == ("runtime",)


class _Model:
    """A Keras model that records its batches, and returns them or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.batches: list[int] = []

    def predict_on_batch(self, segments: np.ndarray) -> np.ndarray:
        if self.error is not None:
            raise self.error
        self.batches.append(len(segments))
        return segments


def test_a_large_network_runs_in_small_batches() -> None:
    model = _Model()
    runtime = KerasRuntime(model, PATH, size=NetworkSize(values=32_000_000))
    np.testing.assert_array_equal(runtime.run(SEGMENTS), SEGMENTS)
    assert max(model.batches) <= 8 and len(model.batches) >= 3
    model.batches.clear()
    KerasRuntime(model, PATH, size=NetworkSize(values=600_000)).run(SEGMENTS)
    assert model.batches == [32]


def test_a_large_network_gives_the_same_values_as_a_small_one() -> None:
    checked = check_onnx(PATH.read_bytes(), PATH)
    large = CheckedOnnx(checked.content, checked.segment_samples, NetworkSize(values=32_000_000))
    outputs = OnnxRuntime(large, PATH).run(SEGMENTS)
    np.testing.assert_allclose(outputs, OnnxRuntime(checked, PATH).run(SEGMENTS), atol=1e-6)


def test_no_segments_give_no_outputs() -> None:
    assert OnnxRuntime(check_onnx(PATH.read_bytes(), PATH), PATH).run(SEGMENTS[:0]).shape == (0, 2016)


@pytest.mark.parametrize("error", [ValueError("two\nlines"), RuntimeError(), MemoryError("full")])
def test_an_error_of_the_runtime_is_one_line_with_the_file(error: Exception) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx: cannot be run \(.+\)") as caught:
        KerasRuntime(_Model(error), PATH, size=NetworkSize()).run(SEGMENTS)
    assert "\n" not in str(caught.value)


def test_segments_of_another_length_are_an_error_of_the_model() -> None:
    with pytest.raises(ModelError, match=r"model\.onnx: cannot be run"):
        OnnxRuntime(check_onnx(PATH.read_bytes(), PATH), PATH).run(SEGMENTS[:, :100])


def test_values_that_are_too_large_are_an_error_of_the_signal() -> None:
    segments = SEGMENTS.copy()
    segments[3, 5] = np.inf
    with pytest.raises(InputError, match="too large for float32"):
        OnnxRuntime(check_onnx(PATH.read_bytes(), PATH), PATH).run(segments)


# Outputs


@pytest.mark.parametrize(
    ("factor", "match"),
    [
        (np.nan, r"model\.onnx: the output of the model is not finite for input of up to"),
        (np.inf, "not finite"),
        (3e38, "not finite"),
        (2.0, r"detector: the output of the model is -.* to .*, but a probability is 0 to 1"),
        (-1.0, "but a probability is 0 to 1"),
    ],
)
def test_a_detector_without_probabilities_is_reported(factor: float, match: str, tmp_path: Path) -> None:
    model = onnx_model(node("Mul", "x c"), c=np.float32(factor))
    directory = with_onnx(copy_pretrained(tmp_path / "model"), model)
    with pytest.raises(ModelError, match=match):
        load_model(directory, runtime="onnx").detect(ecg(360.0), fs=360.0)  # type: ignore[union-attr]


@pytest.mark.parametrize("factor", [np.nan, 1e39, 3e38])
def test_a_denoiser_whose_output_is_not_finite_is_reported(factor: float, tmp_path: Path) -> None:
    with np.errstate(over="ignore"):
        model = onnx_model(node("Mul", "x c"), c=np.float32(factor))
    directory = with_onnx(copy_pretrained(tmp_path / "model", "lstm-denoiser"), model)
    with pytest.raises(ModelError, match="the output of the model is not finite"):
        load_model(directory, runtime="onnx").denoise(2 * ecg(360.0), fs=360.0)  # type: ignore[union-attr]
