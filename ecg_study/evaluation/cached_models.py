"""The trained models, applied to whole leads just as their bundles are, with a memory on disk."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.inference.denoiser import DenoiserStream
from ecg_study.inference.detector import DetectorStream, RPeaks
from ecg_study.models.card import REFRACTORY_PERIOD
from ecg_study.models.folder import onnx_runtime
from ecg_study.models.runtimes import Runtime
from ecg_study.result_cache import ResultCache, content_key
from ecg_study.training.task import TrainingTask

OUTPUT_FORMAT = 4
"""Raised whenever the same model would give something else for the same signal."""

LOWEST_ACTIVATION = 0.02
"""Below this a local maximum of the activation is not kept: the lowest threshold that is ever tried."""

_MOST_ENGINES = 2
"""A denoiser and the detector behind it."""

_engines: OrderedDict[str, Runtime] = OrderedDict()


@dataclass(frozen=True)
class Detected:
    """What the detector says of one lead, before any threshold.

    Attributes:
        samples: maxima of the activation on the extremum of the lead nearby, one within each refractory period,
            int64, strictly rising.
        activations: of these, from 0 to 1.
        window_scores: of each window, shape ``(samples // window,)``.
    """

    samples: np.ndarray
    activations: np.ndarray
    window_scores: np.ndarray

    def r_peaks(self, threshold: float) -> np.ndarray:
        """Those of at least this activation. A lower maximum never suppresses a higher: the rest stay as they are."""
        return self.samples[self.activations >= threshold]


class CachedModel:
    """A model that is applied to leads.

    Args:
        model: Keras model from ``(batch, segment, 1)`` to the same shape; its ONNX form is run, which is faster.
        fs: sampling rate of model and leads in Hz.
        segment: samples the model reads at once.
        window: samples a window.
        refractory: seconds within which there is but one R peak.
        store: where results are kept.
        polarity: detector: see `ModelCard`.
        removes_baseline_wander: denoiser: whether the wander of the baseline counts as noise.
    """

    def __init__(
        self,
        model: Any,
        fs: float,
        segment: int,
        window: int,
        refractory: float,
        store: ResultCache,
        polarity: Literal["upright", "either"] = "upright",
        removes_baseline_wander: bool = False,
    ) -> None:
        self._model = model
        self.fs, self.segment, self.window, self.refractory = fs, segment, window, refractory
        self.store = store
        self.polarity: Literal["upright", "either"] = polarity
        self.removes_baseline_wander = removes_baseline_wander
        self.identity: dict[str, Any] = {"format": OUTPUT_FORMAT, "model": model_hash(model), "segment": segment}

    @property
    def runtime(self) -> Runtime:
        """What runs the model. Few are held at a time, and one that is asked for again is made anew: each keeps
        the memory that its layers took, some 30 MB."""
        held = _engines.pop(self.identity["model"], None) or onnx_runtime(self._model)
        _engines[self.identity["model"]] = held
        while len(_engines) > _MOST_ENGINES:
            _engines.popitem(last=False)
        return held

    @staticmethod
    def of(model: Any, task: TrainingTask, store: ResultCache) -> CachedModel:
        """The model of a task, applied as its bundle will be."""
        cache, settings = task.cache, task.cache.settings
        return CachedModel(
            model,
            cache.fs,
            settings.segment_samples,
            settings.window_samples,
            REFRACTORY_PERIOD,
            store,
            task.polarity,
            task.removes_baseline_wander,
        )

    def reference(self, clean: np.ndarray) -> np.ndarray:
        """What a recording in mV is to become: itself, or itself without its drift."""
        return remove_baseline_wander(clean, self.fs).astype(np.float32) if self.removes_baseline_wander else clean

    def denoise(self, signal: np.ndarray, keep: bool = True) -> np.ndarray:
        """The cleaned lead in mV, float32.

        Args:
            signal: one lead in mV, shape ``(samples,)``.
            keep: whether to keep the result on disk, at four bytes a sample.
        """
        if not keep:
            return self._clean(signal)
        key = content_key({**self.identity, "output": "signal"}, signal)
        kept = self.store.get(key)
        if kept is None:
            kept = {"signal": self._clean(signal)}
            self.store.put(key, kept)
        return kept["signal"]

    def detect(self, signal: np.ndarray) -> Detected:
        """Where R peaks are, in a lead in mV of shape ``(samples,)``."""
        how = {"window": self.window, "refractory": self.refractory, "lowest": LOWEST_ACTIVATION}
        key = content_key({**self.identity, "output": "R peaks", "polarity": self.polarity, **how}, signal)
        kept = self.store.get(key)
        if kept is None:
            kept = self._detect(signal)
            self.store.put(key, kept)
        return Detected(kept["samples"], kept["activations"], kept["window_scores"])

    def detect_together(self, signal: np.ndarray, threshold: float) -> np.ndarray:
        """R peaks of several leads in mV, shape ``(samples, leads)``, judged together; sample indices, not kept."""
        stream = self._detector_stream(threshold, signal.shape[1])
        return RPeaks.concatenate([stream.push(signal), stream.finish()]).samples

    def _detector_stream(
        self, threshold: float, n_leads: int, on_peak_probability: Callable[[np.ndarray], None] | None = None
    ) -> DetectorStream:
        return DetectorStream(
            self.runtime,
            model_fs=self.fs,
            segment_samples=self.segment,
            refractory_period=self.refractory,
            polarity=self.polarity,
            threshold=threshold,
            fs=self.fs,
            n_leads=n_leads,
            on_peak_probability=on_peak_probability,
        )

    def _clean(self, signal: np.ndarray) -> np.ndarray:
        stream = DenoiserStream(
            self.runtime,
            model_fs=self.fs,
            segment_samples=self.segment,
            fs=self.fs,
            removes_baseline_wander=self.removes_baseline_wander,
        )
        return np.concatenate([stream.push(signal), stream.finish()]).astype(np.float32)

    def _detect(self, signal: np.ndarray) -> dict[str, np.ndarray]:
        heard: list[np.ndarray] = []
        stream = self._detector_stream(LOWEST_ACTIVATION, 1, heard.append)
        first, last = stream.push(signal), stream.finish()
        scores = window_scores(np.concatenate(heard), self.window, round(self.refractory * self.fs))
        return {
            "samples": np.concatenate([first.samples, last.samples]),
            "activations": np.concatenate([first.confidences, last.confidences]),
            "window_scores": scores.astype(np.float32),
        }


def model_hash(model: Any) -> str:
    """Hash of a Keras model's architecture and weights."""
    digest = hashlib.sha256(json.dumps(_architecture(model), sort_keys=True, default=str).encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()


def _architecture(model: Any) -> Any:
    """The layers and how they are set; without their names, which count up within a process."""
    return [
        {name: value for name, value in layer.get_config().items() if name not in ("name", "layer", "backward_layer")}
        for layer in model.layers
    ]


def window_scores(activation: np.ndarray, window: int, refractory: int) -> np.ndarray:
    """Score of each window: its largest activation peak, 0 where it holds none; shape ``(samples // window,)``.

    A sample counts only where it is the largest within the refractory period, so that the flank of a peak just
    across the border is not taken for a second peak. A remainder shorter than a window is dropped.

    Args:
        activation: shape ``(samples,)``.
        window: samples a window.
        refractory: samples on either side in which a larger activation suppresses a sample.
    """
    from scipy.ndimage import maximum_filter1d

    highest = maximum_filter1d(activation, 2 * refractory + 1, mode="constant", cval=-np.inf)
    peaks = np.where(activation >= highest, activation, 0)
    return np.asarray(peaks[: len(peaks) // window * window].reshape(-1, window).max(axis=1))
