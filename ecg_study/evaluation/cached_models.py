"""A detector or denoiser whose results are kept on disk."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np

from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.errors import InputError
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector, DetectorStream
from ecg_study.inference.quality.noise_level import RemovalWeakener
from ecg_study.inference.r_peaks import RPeaks
from ecg_study.models.card import DETECTOR, REMOVED_POWER, ModelCard, OperatingPoint
from ecg_study.models.folder import onnx_runtime
from ecg_study.models.runtimes import Runtime
from ecg_study.result_cache import Arrays, ResultCache, content_key

OUTPUT_FORMAT = 5
"""Version of the cached results: raised when the same model would give another result for the same signal."""

LOWEST_PEAK_PROBABILITY = 0.02
"""Lower local maxima of the per-sample probability are not kept. It is the lowest threshold that is ever tried."""

_MAX_RUNTIMES = 2
"""A denoiser and the detector that runs after it."""

_runtimes: OrderedDict[str, Runtime] = OrderedDict()
_runtimes_lock = threading.Lock()


class CachedModel:
    """A detector or denoiser for whole leads, with a result cache.

    Results are those of the model itself: the same stream is applied to the whole lead.

    Args:
        model: the detector or denoiser.
        store: result cache; ``None`` keeps the last result only.
        weights_hash: hash of architecture and weights, by which results are found again; needed with a store.
    """

    def __init__(self, model: Detector | Denoiser, *, store: ResultCache | None = None, weights_hash: str = "") -> None:
        """Wrap a model."""
        if store is not None and not weights_hash:
            raise InputError("weights_hash: missing; a result cache needs it")
        self.model = model
        self.store = store
        self.weights_hash = weights_hash
        self._last: tuple[str, Arrays] | None = None

    @staticmethod
    def from_keras(model: Any, card: ModelCard, *, store: ResultCache | None = None) -> CachedModel:
        """Wrap a Keras model in memory; it runs in its ONNX form, as the saved model will.

        Args:
            model: Keras model from ``(batch, segment, 1)`` to the same shape.
            card: sampling rate, segment, window, refractory period, polarity and treatment of baseline wander.
            store: result cache.
        """
        digest = model_hash(model)
        runtime = _OnnxOnDemand(model, digest)
        wrapped = Detector(card, runtime) if card.model_kind == DETECTOR else Denoiser(card, runtime)
        return CachedModel(wrapped, store=store, weights_hash=digest)

    @property
    def card(self) -> ModelCard:
        """The model card."""
        return self.model.card

    @property
    def thresholds(self) -> dict[str, float]:
        """Thresholds of the model, see `ModelCard`."""
        return self.card.thresholds

    @property
    def removes_baseline_wander(self) -> bool:
        """True for a denoiser that treats baseline wander as noise."""
        return self.card.baseline_wander == "removed"

    @property
    def identity(self) -> dict[str, Any]:
        """Part of the cache key that stands for the model."""
        card = self.card
        filtered = {} if card.highpass_hz is None else {"highpass": card.highpass_hz}
        if card.baseline_window_s is not None:
            filtered = {"baseline window": card.baseline_window_s}
        # The thresholds of a detector are applied to what is kept.
        weakened = {} if card.model_kind == DETECTOR else card.thresholds
        known = {"format": OUTPUT_FORMAT, "model": self.weights_hash, "segment": card.segment_samples}
        return {**known, **filtered, **weakened}

    def at(self, point: OperatingPoint) -> CachedModel:
        """Return the same model with other thresholds and another calibration."""
        card = replace(self.card, thresholds=point.thresholds, calibration=point.calibration)
        model = type(self.model)(card, self.model.runtime)
        return CachedModel(model, store=self.store, weights_hash=self.weights_hash)

    def reference(self, clean: np.ndarray) -> np.ndarray:
        """Return what the denoiser should make of a recording in mV: itself, or itself without baseline wander."""
        if not self.removes_baseline_wander:
            return clean
        return remove_baseline_wander(clean, self.card.fs).astype(np.float32)

    def denoise(self, signal: np.ndarray, *, keep: bool = True) -> np.ndarray:
        """Denoise one lead.

        Args:
            signal: one lead in mV, shape ``(samples,)``.
            keep: keep the result on disk, at four bytes per sample.

        Returns:
            The denoised lead in mV, float32.
        """
        if not keep:
            return self._denoise(signal)
        key = content_key({**self.identity, "output": "signal"}, signal)
        kept = self._kept(key)
        if kept is None:
            kept = self._keep(key, {"signal": self._denoise(signal)})
        return kept["signal"]

    def denoise_segments(self, segments: np.ndarray) -> np.ndarray:
        """Apply the model to separate segments in mV, shape ``(segments, segment)``; float32, nothing is kept."""
        if self.card.highpass_hz is not None:
            segments = remove_baseline_wander(segments, self.card.fs)
        segments = np.asarray(segments, np.float32)
        denoised = self.model.runtime.run(segments)
        threshold = self.thresholds.get(REMOVED_POWER, 0.0)
        return RemovalWeakener(threshold).weaken(segments, denoised) if threshold else denoised

    def detect(self, signal: np.ndarray) -> RPeaks:
        """Return the R peaks of one lead in mV, shape ``(samples,)``, at the model's own threshold."""
        found = self.candidates(signal).above(self.thresholds["r_peak"])
        return found if self.card.calibration is None else found.calibrated(self.card.calibration)

    def candidates(self, signal: np.ndarray) -> RPeaks:
        """Return all R-peak candidates of one lead in mV with their peak probabilities, before a threshold is chosen.

        A lower candidate never suppresses a higher one, so ``candidates(signal).above(t)`` are the R peaks at ``t``.
        """
        kept = self._detected(signal)
        return RPeaks(kept["samples"], kept["activations"])

    def window_scores(self, signal: np.ndarray) -> np.ndarray:
        """Return the score of each window of one lead in mV, float32, shape ``(samples // window,)``."""
        return self._detected(signal)["window_scores"]

    def detect_in_leads(self, signals: np.ndarray) -> RPeaks:
        """Return the R peaks of several leads in mV, shape ``(samples, leads)``, judged together; nothing is kept."""
        stream = self._detector().stream(fs=self.card.fs, n_leads=signals.shape[1])
        return RPeaks.concatenate([stream.push(signals), stream.finish()])

    def _detector(self) -> Detector:
        if not isinstance(self.model, Detector):
            raise InputError("the model is a denoiser; a detector is needed")
        return self.model

    def _detected(self, signal: np.ndarray) -> Arrays:
        card = self.card
        settings = {
            "window": card.window_samples,
            "refractory": card.refractory_period,
            "lowest": LOWEST_PEAK_PROBABILITY,
        }
        key = content_key({**self.identity, "output": "R peaks", "polarity": card.polarity, **settings}, signal)
        kept = self._kept(key)
        return self._keep(key, self._detect(signal)) if kept is None else kept

    def _kept(self, key: str) -> Arrays | None:
        last = self._last  # read once: several threads may use one model
        if last is not None and last[0] == key:
            return last[1]
        return None if self.store is None else self.store.get(key)

    def _keep(self, key: str, arrays: Arrays) -> Arrays:
        if self.store is None:
            self._last = (key, arrays)
        else:
            self.store.put(key, arrays)
        return arrays

    def _denoise(self, signal: np.ndarray) -> np.ndarray:
        if not isinstance(self.model, Denoiser):
            raise InputError("the model is a detector; a denoiser is needed")
        stream = self.model.stream(fs=self.card.fs)
        return np.concatenate([stream.push(signal), stream.finish()]).astype(np.float32)

    def _detect(self, signal: np.ndarray) -> Arrays:
        card, parts = self.card, list[np.ndarray]()
        stream = DetectorStream(
            self._detector().runtime,
            model_fs=card.fs,
            segment_samples=card.segment_samples,
            refractory_period=card.refractory_period,
            polarity=card.polarity,
            baseline_window_s=card.baseline_window_s,
            threshold=LOWEST_PEAK_PROBABILITY,
            fs=card.fs,
            n_leads=1,
            on_peak_probability=parts.append,
        )
        first, last = stream.push(signal), stream.finish()
        scores = window_scores(
            np.concatenate(parts), card.window_samples, refractory=round(card.refractory_period * card.fs)
        )
        return {
            "samples": np.concatenate([first.samples, last.samples]),
            "activations": np.concatenate([first.confidences, last.confidences]),
            "window_scores": scores.astype(np.float32),
        }


class _OnnxOnDemand:
    """ONNX runtime of a Keras model, created when it is first needed.

    Only the last `_MAX_RUNTIMES` are held: each keeps the memory of its layers, some 30 MB.
    """

    name = "onnx"

    def __init__(self, model: Any, weights_hash: str) -> None:
        self._model = model
        self._hash = weights_hash

    def run(self, segments: np.ndarray) -> np.ndarray:
        with _runtimes_lock:
            runtime = _runtimes.pop(self._hash, None) or onnx_runtime(self._model)
            _runtimes[self._hash] = runtime
            while len(_runtimes) > _MAX_RUNTIMES:
                _runtimes.popitem(last=False)
        return runtime.run(segments)


def model_hash(model: Any) -> str:
    """Return the hash of a Keras model's architecture and weights."""
    digest = hashlib.sha256(json.dumps(_architecture(model), sort_keys=True, default=str).encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()


def _architecture(model: Any) -> Any:
    """Return the settings of the layers without their names, which count up within a process."""
    return [
        {name: value for name, value in layer.get_config().items() if name not in ("name", "layer", "backward_layer")}
        for layer in model.layers
    ]


def window_scores(probabilities: np.ndarray, window: int, *, refractory: int) -> np.ndarray:
    """Return the score of each window: the highest probability peak in it, 0 without one.

    A sample counts only if it is the largest within the refractory period, so that the flank of a peak just across
    the border does not count as a second peak. A remainder shorter than a window is dropped.

    Args:
        probabilities: per-sample probability from 0 to 1, shape ``(samples,)``.
        window: samples per window.
        refractory: samples on either side in which a larger probability suppresses a sample.

    Returns:
        Scores from 0 to 1, shape ``(samples // window,)``.
    """
    from scipy.ndimage import maximum_filter1d

    highest = maximum_filter1d(probabilities, 2 * refractory + 1, mode="constant", cval=-np.inf)
    peaks = np.where(probabilities >= highest, probabilities, 0)
    return np.asarray(peaks[: len(peaks) // window * window].reshape(-1, window).max(axis=1))
