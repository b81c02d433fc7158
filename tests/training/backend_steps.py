"""Training of tiny models on the backend that ``KERAS_BACKEND`` names: ``python -m tests.training.backend_steps``.

``train FOLDER OUT`` trains from the weights and batches in FOLDER, and writes losses, outputs and models to OUT.
``apply FOLDER`` computes the outputs of every model below FOLDER. A process can have one backend only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecg_study.training.backend import backend_name, import_backend

if TYPE_CHECKING:
    import keras

STEPS = 40
SEGMENT, BATCH = 240, 8
KINDS = ("denoiser", "detector")


def build(kind: str) -> keras.Model:
    """Build one of the models."""
    from ecg_study.search_spaces.denoiser import DenoiserConfig, build_denoiser
    from ecg_study.search_spaces.detector import DetectorConfig, build_detector
    from ecg_study.search_spaces.layers import StackConfig

    stack = StackConfig(
        units=(6, 4),
        dropout=0.0,
        frame=8,
        bidirectional=True,
        learning_rate=0.01,
        filters=3 if kind == "detector" else 0,
    )
    if kind == "denoiser":
        return build_denoiser(DenoiserConfig(stack, residual=True), SEGMENT, removes_baseline_wander=True)
    return build_detector(DetectorConfig(stack, dense_units=5), SEGMENT, window_samples=60, refractory_samples=20)


def write_start(folder: Path) -> None:
    """Write batches, and initial weights of each model."""
    rng = np.random.default_rng(3)
    at = np.arange(SEGMENT)
    peaks = rng.integers(20, SEGMENT - 20, (STEPS, BATCH, 1))
    target = np.exp(-((at - peaks) ** 2) / (2 * 3.5**2))[..., np.newaxis].astype(np.float32)
    noisy = (target + rng.normal(0, 0.2, target.shape)).astype(np.float32)
    np.savez(folder / "batches.npz", noisy=noisy, target=target)
    for kind in KINDS:
        shapes = [tuple(weight.shape) for weight in build(kind).weights]
        weights = {f"{number:03d}": rng.normal(0, 0.2, shape) for number, shape in enumerate(shapes)}
        np.savez(folder / f"{kind}.npz", allow_pickle=False, **weights)


def _train(folder: Path, out: Path) -> None:
    import keras

    with np.load(folder / "batches.npz") as batches:
        noisy, target = batches["noisy"], batches["target"]
    for kind in KINDS:
        model = build(kind)
        with np.load(folder / f"{kind}.npz") as start:
            model.set_weights([start[name] for name in sorted(start)])
        losses, metrics = [], {}
        for step in range(STEPS):
            model.reset_metrics()
            metrics = model.train_on_batch(noisy[step], target[step], return_dict=True)
            losses.append(float(metrics["loss"]))
        (out / kind).mkdir(parents=True)
        keras.Model(model.inputs, model.outputs, name=model.name).save(out / kind / "model.keras")
        names = sorted(metrics)
        np.savez(
            out / kind / "trained.npz",
            losses=np.array(losses),
            metrics=np.array([float(metrics[name]) for name in names]),
            output=np.asarray(model.predict_on_batch(noisy[0])),
        )


def _apply(folder: Path) -> None:
    from ecg_study.models.keras_file import check_keras, open_keras
    from ecg_study.models.runtimes import KerasRuntime

    with np.load(folder / "batches.npz") as batches:
        noisy = batches["noisy"][0]
    for path in sorted(folder.glob("*/*/model.keras")):
        checked = check_keras(path.read_bytes(), path)
        runtime = KerasRuntime(open_keras(checked, path), path, size=checked.network.size)
        np.save(path.with_name(f"{backend_name()}.npy"), runtime.run(noisy[..., 0])[..., np.newaxis])


if __name__ == "__main__":
    import_backend(threads=1)
    if sys.argv[1] == "train":
        _train(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        _apply(Path(sys.argv[2]))
    if backend_name() != "tensorflow":
        assert "tensorflow" not in sys.modules, "another backend must not load TensorFlow"
