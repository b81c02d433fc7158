"""Keep a best model with all it needs to be used again, and apply it to whole records.

Importing this package is light; Keras is imported when a bundle is opened.
"""

from checkpoints.apply import apply_model, apply_segments, pick_r_peaks, window_scores
from checkpoints.bundle import DISCLAIMER, Bundle, Card, load_bundle, read_card, save_bundle
from checkpoints.predict import Prediction, predict_record, prediction_path, write_prediction
from checkpoints.tables import write_signal_csv

__all__ = [
    "DISCLAIMER",
    "Bundle",
    "Card",
    "Prediction",
    "apply_model",
    "apply_segments",
    "load_bundle",
    "pick_r_peaks",
    "predict_record",
    "prediction_path",
    "read_card",
    "save_bundle",
    "window_scores",
    "write_prediction",
    "write_signal_csv",
]
