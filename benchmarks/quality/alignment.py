"""Choice of the band and the ratio by which marks are moved to R peaks: ``python -m benchmarks.quality.alignment``.

The marks of MIT-BIH lie on the R peaks. Those of the training and validation records of DS1 are moved by
up to 50 ms in either direction, and aligned again with each band and ratio. Printed are the shares of beats that
return to within 15 ms: the mean over shifts and records, and the worst record. No test record is read.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.alignment import BAND, CLEARLY_LARGER, align_marks
from ecg_study.ecg_data.databases.splits import DS1, split_mitdb
from ecg_study.ecg_data.readers.recording import Record
from ecg_study.ecg_data.readers.wfdb import read_record

SHIFTS_MS, TOLERANCE_MS = (-50, -25, -10, 0, 10, 25, 50), 15
BANDS = ((0.5, 40.0), (1.0, 40.0), BAND, (5.0, 15.0))
RATIOS = (CLEARLY_LARGER, 1.25, 1.5, 2.0)


def restored(record: Record, *, band: tuple[float, float], clearly_larger: float) -> float:
    """Return the share of marks that return to within 15 ms after they were moved, the mean over all shifts.

    Args:
        record: a record whose marks lie on its R peaks.
        band: band in Hz in which R peaks are looked for.
        clearly_larger: ratio of two waves from which the larger one is the R peak.
    """
    shares = []
    for shift in SHIFTS_MS:
        moved = record.r_peaks + round(shift * record.fs / 1000)
        inside = (moved >= 0) & (moved < len(record.signal))
        signal = record.signal[:, 0]
        aligned = align_marks(signal, moved[inside], fs=record.fs, band=band, clearly_larger=clearly_larger).r_peaks
        distance = np.abs(record.r_peaks[inside][:, None] - aligned[None]).min(axis=1)
        shares.append(np.mean(distance <= TOLERANCE_MS * record.fs / 1000))
    return float(np.mean(shares))


def main() -> None:
    """Print one line per band and ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--raw-dir", type=Path, required=True, help="folder of the MIT-BIH records")
    options = parser.parse_args()
    names = [name for name in DS1 if (options.raw_dir / f"{name}.hea").is_file()]
    split = split_mitdb([*names, "100"])  # a split needs a test record; it is not read
    records = [read_record(options.raw_dir / name) for name in (*split.train, *split.validation)]
    print(f"Beats within {TOLERANCE_MS} ms in %, {len(records)} records of DS1: mean, worst record")
    for band, ratio in product(BANDS, RATIOS):
        shares = {item.name: 100 * restored(item, band=band, clearly_larger=ratio) for item in records}
        worst = min(shares, key=lambda name: shares[name])
        mean = np.mean(list(shares.values()))
        print(f"{band[0]:g} to {band[1]:g} Hz, ratio {ratio:g}: {mean:.2f}, {shares[worst]:.2f} ({worst})")


if __name__ == "__main__":
    main()
