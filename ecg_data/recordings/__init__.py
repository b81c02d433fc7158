"""Any ECG file as a recording that is read in blocks: WFDB, EDF, CSV, NumPy."""

from ecg_data.recordings.finding import ENDINGS, find_recordings, open_recording
from ecg_data.recordings.recording import ReadingOptions, Recording

__all__ = ["ENDINGS", "ReadingOptions", "Recording", "find_recordings", "open_recording"]
