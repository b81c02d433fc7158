"""The classical detectors on MIT-BIH, beside figures that were measured independently of this project.

    python -m benchmarks.quality.detectors --raw-dir ../mitdb [--noise-dir ../nstdb] [--data-dir data]

F1 in per cent of R peaks on DS2, first lead as it was recorded, one-to-one within 150, 75 and 50 ms; and on the noise
stress records, within 150 ms without the first five minutes. The other figures were measured with the same versions of
the libraries (wfdb 4.3.1, neurokit2 0.2.13, sleepecg 0.6.0) by other code. Results are kept in ``DATA_DIR/measured``,
where the report finds them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.physionet import stress_record
from ecg_study.ecg_data.databases.splits import DS2, NOISE_STRESS
from ecg_study.ecg_data.noise_records import open_noise_records
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.evaluation.baselines.detectors import DETECTOR_NAMES
from ecg_study.evaluation.baselines.runner import ClassicalDetectors
from ecg_study.evaluation.experiments.r_peaks import LEARNING, match
from ecg_study.evaluation.leads import EvaluationLead
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
"""Points of F1 by which ours may differ."""


def read(path: Path) -> EvaluationLead:
    """The first lead of a record."""
    record = read_record(path, lead="auto")
    signal = np.ascontiguousarray(record.signal[:, 0])
    return EvaluationLead(
        path.name, record.leads[0], record.fs, signal, signal, record.r_peaks, record.excluded_intervals
    )


def figures(
    detectors: ClassicalDetectors, leads: list[EvaluationLead], tolerance: int, skipped: float
) -> dict[str, float]:
    """F1 in per cent of each detector, all beats of all leads together."""
    found = detectors.find("Leads", {lead.record: lead.clean for lead in leads}, leads[0].fs, DETECTOR_NAMES)
    tables = {
        name: [match(lead, found[lead.record][name].r_peaks, tolerance, skipped).table for lead in leads]
        for name in DETECTOR_NAMES
    }
    return {name: 100 * pooled_f1(np.array(table)) for name, table in tables.items()}


def show(name: str, ours: float, known: float | None) -> list[bool]:
    """Print one figure. Returns whether it is within what is allowed, and nothing where nothing is known."""
    if known is None:
        print(f"  {name}: {ours:.2f}")
        return []
    fine = abs(ours - known) <= WITHIN + 0.005  # both are rounded
    print(f"  {name}: {ours:.2f}, known {known:.2f}{'' if fine else ', which is too far off'}")
    return [fine]


def main() -> None:
    """Measure, and print ours beside what is known."""
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
        for name, value in figures(detectors, leads, tolerance, 0).items():
            fine += show(name, value, KNOWN[name][place] if name in KNOWN else None)
    if options.noise_dir:
        open_noise_records(options.noise_dir)  # refuses a folder of something else
        for snr, known in KNOWN_STRESS.items():
            print(f"118e and 119e, {snr} dB")
            stressed = [read(options.noise_dir / stress_record(name, snr)) for name in NOISE_STRESS]
            for name, value in figures(detectors, stressed, TOLERANCES_MS[0], LEARNING).items():
                fine += show(name, value, known.get(name))
    detectors.close()
    print(f"{sum(fine)} of {len(fine)} as known, within {WITHIN} points; {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
