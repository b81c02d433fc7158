"""Writing a lead and what was found in it as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ecg_data.files import replacing

_DECIMALS = 4  # 0.1 µV: finer than any converter


def write_signal_csv(
    path: Path,
    fs: float,
    signal: np.ndarray,
    denoised: np.ndarray | None = None,
    r_peaks: np.ndarray | None = None,
) -> None:
    """Write ``time_s, signal_mv[, denoised_mv][, R_peak]``, one row a sample; whole or not at all.

    Args:
        path: the file to write.
        fs: sampling rate in Hz.
        signal: one lead in mV, shape ``(samples,)``.
        denoised: the same lead cleaned, in mV.
        r_peaks: sample indices; ``R_peak`` is 1 there and 0 elsewhere.
    """
    import pandas as pd

    columns = {"time_s": np.round(np.arange(len(signal)) / fs, 6), "signal_mv": _rounded(signal)}
    if denoised is not None:
        columns["denoised_mv"] = _rounded(denoised)
    if r_peaks is not None:
        columns["R_peak"] = np.zeros(len(signal), np.int8)
        columns["R_peak"][r_peaks] = 1
    with replacing(path) as temporary:
        pd.DataFrame(columns).to_csv(temporary, index=False)


def _rounded(signal: np.ndarray) -> np.ndarray:
    return np.round(signal.astype(np.float64), _DECIMALS)
