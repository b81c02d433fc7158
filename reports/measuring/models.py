"""The trained models, applied to whole leads, with a memory on disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from checkpoints import apply_model, pick_r_peaks, window_scores
from reports.measuring.store import ResultStore, key_of

FORMAT = 1
"""Raised whenever the same model would give something else for the same signal."""

LOWEST_ACTIVATION = 0.02
"""Below this a local maximum of the activation is not kept: the lowest threshold that is ever tried."""


@dataclass(frozen=True)
class Detected:
    """What the detector says of one lead, before any threshold.

    Attributes:
        samples: local maxima of the activation, one within each refractory period, int64, strictly rising.
        activations: of these, from 0 to 1.
        window_scores: of each window, shape ``(samples // window,)``.
    """

    samples: np.ndarray
    activations: np.ndarray
    window_scores: np.ndarray

    def r_peaks(self, threshold: float) -> np.ndarray:
        """Those of at least this activation. A lower maximum never suppresses a higher: the rest stay as they are."""
        return self.samples[self.activations >= threshold]


class Applied:
    """A model that is applied to leads.

    Args:
        model: from ``(batch, segment, 1)`` to the same shape.
        segment: samples the model reads at once.
        window: samples a window.
        refractory: samples within which there is but one R peak.
        store: where results are kept.
    """

    def __init__(self, model: Any, segment: int, window: int, refractory: int, store: ResultStore) -> None:
        self.model = model
        self.segment, self.window, self.refractory = segment, window, refractory
        self.store = store
        self.identity = {"format": FORMAT, "model": model_hash(model), "segment": segment}

    def denoise(self, signal: np.ndarray, keep: bool = True) -> np.ndarray:
        """The cleaned lead in mV, float32.

        Args:
            signal: one lead in mV, shape ``(samples,)``.
            keep: whether to keep the result on disk, at four bytes a sample.
        """
        if not keep:
            return apply_model(self.model, signal, self.segment)
        key = key_of({**self.identity, "output": "signal"}, signal)
        kept = self.store.get(key)
        if kept is None:
            kept = {"signal": apply_model(self.model, signal, self.segment)}
            self.store.put(key, kept)
        return kept["signal"]

    def detect(self, signal: np.ndarray) -> Detected:
        """Where R peaks are, in a lead in mV of shape ``(samples,)``."""
        sizes = {"window": self.window, "refractory": self.refractory, "lowest": LOWEST_ACTIVATION}
        key = key_of({**self.identity, "output": "R peaks", **sizes}, signal)
        kept = self.store.get(key)
        if kept is None:
            activation = apply_model(self.model, signal, self.segment)
            samples = pick_r_peaks(activation, LOWEST_ACTIVATION, self.refractory)
            scores = window_scores(activation, self.window, self.refractory).astype(np.float32)
            kept = {"samples": samples, "activations": activation[samples], "window_scores": scores}
            self.store.put(key, kept)
        return Detected(kept["samples"], kept["activations"], kept["window_scores"])


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
