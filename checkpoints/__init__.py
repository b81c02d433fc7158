"""Keep a best model with all it needs to be used again, and apply it to any ECG.

    from checkpoints import load

    detector = load("outputs/models/detector")
    found = detector.r_peaks(signal, fs=360)      # found.samples, found.confidences

Importing this package is light; Keras or ONNX Runtime is imported when a bundle is opened.
"""

from checkpoints.bundle import Bundle, load_bundle, onnx_engine, save_bundle
from checkpoints.card import DISCLAIMER, Card, card_schema, read_card
from checkpoints.denoiser import Denoiser, DenoiserStream
from checkpoints.detector import Detector, DetectorSetup, DetectorStream, RPeaks
from checkpoints.engines import Engine
from checkpoints.loading import DEFAULT, find_bundle, is_bundle, list_bundles, load, load_denoiser, load_detector
from checkpoints.peaks import pick_r_peaks
from checkpoints.tables import write_signal_csv
from checkpoints.windows import window_scores

__all__ = [
    "DEFAULT",
    "DISCLAIMER",
    "Bundle",
    "Card",
    "Denoiser",
    "DenoiserStream",
    "Detector",
    "DetectorSetup",
    "DetectorStream",
    "Engine",
    "RPeaks",
    "card_schema",
    "find_bundle",
    "is_bundle",
    "list_bundles",
    "load",
    "load_bundle",
    "load_denoiser",
    "load_detector",
    "onnx_engine",
    "pick_r_peaks",
    "read_card",
    "save_bundle",
    "window_scores",
    "write_signal_csv",
]
