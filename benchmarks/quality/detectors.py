"""Classical detectors on MIT-BIH, next to F1 values that were measured by other code.

    python -m benchmarks.quality.detectors --raw-dir ../mitdb [--noise-dir ../nstdb] [--data-dir data]

F1 of R peaks in percent on DS2, first lead as recorded, one-to-one within 150, 75 and 50 ms; and on the noise stress
records, within 150 ms without the first five minutes. The known values come from other code with the same versions of
the libraries (wfdb 4.3.1, neurokit2 0.2.13, sleepecg 0.6.0). Results are kept in ``DATA_DIR/measured``, where the
report finds them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.physionet import stress_record
from ecg_study.ecg_data.databases.splits import DS2, NOISE_STRESS
from ecg_study.ecg_data.noise_records import open_noise_records
from ecg_study.ecg_data.noise_stress import EC57_LEARNING_SECONDS
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.evaluation.baselines.detectors import DETECTOR_NAMES
from ecg_study.evaluation.baselines.runner import ClassicalDetectors
from ecg_study.evaluation.leads import EvaluationLead, match
from ecg_study.evaluation.metrics import pooled_f1
from ecg_study.evaluation.results.values import TOLERANCES_MS
from ecg_study.result_cache import ResultCache

KNOWN = {
    "wfdb xqrs": (99.77, 99.75, 99.66),
    "Pan–Tompkins": (99.82, 63.69, 58.01),
    "Hamilton": (99.46, 90.46, 45.68),
    "Kalidas": (99.21, 98.63, 98.13),
    "neurokit": (98.29, 97.20, 96.86),
    "sleepecg": (99.32, 98.86, 98.66),
}
KNOWN_STRESS = {
    24: {"wfdb xqrs": 99.97, "Kalidas": 99.89, "Pan–Tompkins": 100.00, "neurokit": 99.51, "sleepecg": 99.55},
    12: {"wfdb xqrs": 98.13, "Kalidas": 99.11, "Pan–Tompkins": 98.25, "neurokit": 94.95, "sleepecg": 97.78},
    6: {"wfdb xqrs": 89.97, "Kalidas": 94.75, "Pan–Tompkins": 88.66, "neurokit": 88.79, "sleepecg": 89.12},
    0: {"wfdb xqrs": 81.48, "Kalidas": 86.43, "Pan–Tompkins": 81.69, "neurokit": 79.00, "sleepecg": 80.41},
    -6: {"wfdb xqrs": 68.35, "Kalidas": 65.58, "Pan–Tompkins": 56.18, "neurokit": 71.18, "sleepecg": 72.27},
}
WITHIN = 0.05
"""Largest difference in points of F1."""


def read(path: Path) -> EvaluationLead:
    """Read the first lead of a record."""
    record = read_record(path, lead="auto")
    signal = np.ascontiguousarray(record.signal[:, 0])
    return EvaluationLead(
        path.name, record.leads[0], record.fs, signal, signal, record.r_peaks, record.excluded_intervals
    )


def measure(
    detectors: ClassicalDetectors, leads: list[EvaluationLead], *, tolerance_ms: int, skip_seconds: float = 0.0
) -> dict[str, float]:
    """Return F1 of each detector in percent, all beats of all leads together."""
    signals = {lead.record: lead.clean for lead in leads}
    found = detectors.detect(signals, DETECTOR_NAMES, fs=leads[0].fs, label="Leads")
    tables = {
        name: [
            match(lead, found[lead.record][name].samples, tolerance_ms=tolerance_ms, skip_seconds=skip_seconds).table
            for lead in leads
        ]
        for name in DETECTOR_NAMES
    }
    return {name: 100 * pooled_f1(np.array(table)) for name, table in tables.items()}


def show(name: str, ours: float, *, known: float | None) -> list[bool]:
    """Print one value, and return whether it agrees with the known one; an empty list if none is known."""
    if known is None:
        print(f"  {name}: {ours:.2f}")
        return []
    fine = abs(ours - known) <= WITHIN + 0.005  # both are rounded
    print(f"  {name}: {ours:.2f}, known {known:.2f}{'' if fine else ', which differs too much'}")
    return [fine]


def main() -> None:
    """Measure, and print our values next to the known ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--raw-dir", required=True, type=Path, help="the MIT-BIH records")
    parser.add_argument("--noise-dir", type=Path, help="the noise stress records")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where results are kept (default: data)")
    options = parser.parse_args()
    detectors = ClassicalDetectors(ResultCache(options.data_dir / "measured"), lambda *_: None)
    started = time.monotonic()
    fine: list[bool] = []
    leads = [read(options.raw_dir / name) for name in DS2]
    for place, tolerance in enumerate(TOLERANCES_MS):
        print(f"DS2, within {tolerance} ms")
        for name, value in measure(detectors, leads, tolerance_ms=tolerance).items():
            fine += show(name, value, known=KNOWN[name][place] if name in KNOWN else None)
    if options.noise_dir:
        open_noise_records(options.noise_dir)  # refuses another folder
        for snr, known in KNOWN_STRESS.items():
            print(f"118e and 119e, {snr} dB")
            stressed = [read(options.noise_dir / stress_record(name, snr)) for name in NOISE_STRESS]
            values = measure(detectors, stressed, tolerance_ms=TOLERANCES_MS[0], skip_seconds=EC57_LEARNING_SECONDS)
            for name, value in values.items():
                fine += show(name, value, known=known.get(name))
    detectors.close()
    print(f"{sum(fine)} of {len(fine)} as known, within {WITHIN} points; {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
