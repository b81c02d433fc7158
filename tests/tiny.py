"""A study that is small enough to run in a test: its preset, its records, its command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.search_spaces.preset_files import save_preset

ROOT = Path(__file__).parents[1]
"""The root of the repository, from which child processes import the package."""

SECONDS = 30.0
"""Length of a synthetic record."""

_QUICK = PRESETS["quick"]
TINY = replace(
    _QUICK,
    name="tiny",
    summary="6 trials per model of networks that train in a second",
    max_epochs=3,
    segments_per_epoch=32,
    final_epochs=3,
    seeds=2,
    denoiser=replace(_QUICK.denoiser, units=(4, 6), layers=(1, 2), frame=(16,), direction=("forward",)),
    detector=replace(_QUICK.detector, units=(4, 6), layers=(1, 2), frame=(16,), direction=("forward",)),
)
"""``quick`` with tiny networks and few epochs. Cards and searches store its name."""

_ONE = replace(TINY.detector, layers=(1,), units=(6,), dropout=(0.0,), learning_rate=(0.01, 0.01), dense_units=(0,))
ONE_CONFIGURATION = replace(
    TINY,
    name="one",
    denoiser=replace(_ONE, residual=(True,)),
    detector=_ONE,
    schedule="cosine",
    weight_decay=1e-3,
    warmup=0.05,
)
"""`TINY` with one value of each hyperparameter, which is trained without a search."""

PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with it ignored
import study
if __name__ == "__main__":
    sys.exit(study.main(sys.argv[1:]))
"""
"""The program, for ``python -c``."""


def write_preset(directory: Path) -> Path:
    """Write `TINY` as a file for ``--preset``, and return its path."""
    path = directory / "tiny.toml"
    save_preset(TINY, path)
    return path


def write_noise(directory: Path) -> None:
    """Write noise records of eight minutes: the test part of ``em`` is minutes five to seven."""
    import wfdb

    rng = np.random.default_rng(5)
    for name, width in (("bw", 700), ("em", 30), ("ma", 1)):
        noise = rng.normal(0, 1, (8 * 60 * 360 + width - 1, 2))
        smooth = np.cumsum(noise, axis=0)
        smooth = (smooth[width - 1 :] - np.concatenate([[[0, 0]], smooth[:-width]])) / np.sqrt(width)
        wfdb.wrsamp(
            name,
            fs=360,
            units=["mV", "mV"],
            sig_name=["noise1", "noise2"],
            p_signal=0.2 * smooth,
            fmt=["16", "16"],
            adc_gain=[1000, 1000],
            baseline=[0, 0],
            write_dir=str(directory),
        )
