"""Time to read a table of one hour and an EDF file of 24 hours, against another checkout in the same run.

python -m benchmarks.speed.reading --against ../other-checkout
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

_READ = """
import sys, time
from ecg_study.ecg_data.readers.opening import open_recording
from ecg_study.ecg_data.readers.recording import ReadOptions
from pathlib import Path
list(open_recording(Path(sys.argv[2])).blocks())  # imports what reading needs
start = time.perf_counter()
for _ in open_recording(Path(sys.argv[1]), ReadOptions(lead=sys.argv[3])).blocks():
    pass
print(time.perf_counter() - start)
"""


def seconds(checkout: Path, path: Path, small: Path, *, lead: str) -> float:
    """Return the seconds in which the code of a checkout reads a file, without imports."""
    env = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", _READ, str(path), str(small), lead]
    return float(subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=True).stdout)


def write_table(path: Path, rows: int, fs: int) -> None:
    """Write a table with the time and one lead."""
    values = np.random.default_rng(1).normal(0, 0.3, rows)
    text = "\n".join(f"{row / fs:.3f},{value:.4f}" for row, value in enumerate(values))
    path.write_text(f"time_s,ecg\n{text}\n")


def write_edf(path: Path, hours: float, fs: int) -> None:
    """Write an EDF file with two leads."""
    from edfio import Edf, EdfSignal

    values = np.random.default_rng(1).normal(0, 0.3, round(hours * 3600) * fs)
    signals = [EdfSignal(values, fs, label=label, physical_dimension="mV") for label in ("II", "V5")]
    Edf(signals).write(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout, whose time is the reference")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    own = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "hour.csv", 3600 * 500, 500)
        write_edf(folder / "day.edf", 24, 256)
        write_table(folder / "small.csv", 5000, 500)
        write_edf(folder / "small.edf", 0.01, 256)
        for file, lead in (("hour.csv", "auto"), ("day.edf", "all")):
            small = folder / f"small{Path(file).suffix}"
            checkouts = [own, *([given.against.resolve()] if given.against else [])]
            # The checkouts take turns, so that other work on the machine slows all of them.
            times = [[seconds(at, folder / file, small, lead=lead) for at in checkouts] for _ in range(given.repeats)]
            medians = [statistics.median(column) for column in zip(*times, strict=True)]
            ratio = f", {medians[0] / medians[1]:.2f} times the reference" if len(medians) > 1 else ""
            print(f"{file}: {medians[0]:.3f} s{ratio}")


if __name__ == "__main__":
    main()
