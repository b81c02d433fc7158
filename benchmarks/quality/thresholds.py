"""F1 of a detector at each threshold: ``python -m benchmarks.quality.thresholds MODEL``.

A line for each condition, in percent, one-to-one within 150 ms: validation records of three databases as recorded and
with electrode motion, then those of MIT-BIH under the strong form of each failure of `benchmarks.quality.robustness`.
The last lines have the R peaks a minute in signals without an ECG. No test record is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.quality.robustness.failures import FAILURES
from benchmarks.quality.robustness.signals import SIGNALS_FS, SIGNALS_MINUTES, signals_without_ecg, usual_lead
from ecg_study.ecg_data.alignment import tolerance_samples
from ecg_study.ecg_data.databases.catalog import open_database
from ecg_study.ecg_data.databases.facts import JOINABLE
from ecg_study.ecg_data.databases.splits import MITDB_VALIDATION, VALIDATION
from ecg_study.ecg_data.noise_stress import add_electrode_motion
from ecg_study.evaluation.cached_models import LOWEST_PEAK_PROBABILITY
from ecg_study.evaluation.calibration import MOTION_LEVELS_DB
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.evaluation.matching import match_r_peaks
from ecg_study.evaluation.metrics import pooled_f1
from ecg_study.inference.detector import Detector
from ecg_study.inference.loading import load_detector
from ecg_study.workflows.evaluate import open_records

THRESHOLDS = (0.06, 0.08, 0.10, 0.12, 0.14, 0.16, 0.18, 0.20, 0.24, 0.30, 0.40)

_TOLERANCE_MS = 150


def main() -> None:
    """Measure, and print a line for each condition."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":", maxsplit=1)[0])
    parser.add_argument("model", help="name or folder of a detector")
    parser.add_argument("--raw-dir", type=Path, required=True, help="folder with a folder for each database")
    parser.add_argument("--noise-dir", type=Path, required=True, help="folder of the noise stress test database")
    options = parser.parse_args()
    detector = load_detector(options.model)
    print(f"The threshold of the model is {detector.card.thresholds['r_peak']:.2f}. F1 in %:")
    print(f"{'threshold':32} {_row(THRESHOLDS)}")
    lowest = without_threshold(detector)
    for title, leads in conditions(options.raw_dir, options.noise_dir):
        print(f"{title:32} {_row(100 * f1_by_threshold(lowest, leads))}", flush=True)
    print("R peaks a minute:")
    for title, signal in signals_without_ecg(seed=1).items():
        found = lowest.detect(signal, fs=SIGNALS_FS)
        counts = np.array([len(found.above(threshold)) for threshold in THRESHOLDS])
        print(f"{title:32} {_row(counts / SIGNALS_MINUTES)}", flush=True)


def without_threshold(detector: Detector) -> Detector:
    """Return the detector with the lowest threshold, whose confidences are peak probabilities."""
    thresholds = {**detector.card.thresholds, "r_peak": LOWEST_PEAK_PROBABILITY}
    return Detector(replace(detector.card, thresholds=thresholds, calibration=None), detector.runtime)


def conditions(raw_dir: Path, noise_dir: Path) -> Iterator[tuple[str, list[EvaluationLead]]]:
    """Yield the title and the leads of each condition."""
    database = open_database(",".join(JOINABLE), raw_dir=raw_dir)
    records = open_records(database, part=VALIDATION, noise_dir=noise_dir)
    assert records.noise is not None
    yield "as recorded", list(records.leads)
    for level in MOTION_LEVELS_DB:
        yield (
            f"electrode motion, {level} dB".replace("-", "−"),
            [
                replace(
                    lead,
                    clean=add_electrode_motion(
                        lead.clean,
                        lead.r_peaks,
                        source=records.noise.source(VALIDATION, fs=lead.fs),
                        fs=lead.fs,
                        snr_db=level,
                    ),
                )
                for lead in records.leads
            ],
        )
    leads = [usual_lead(raw_dir / "mitdb" / name) for name in MITDB_VALIDATION]
    for kind, failure in FAILURES.items():
        strongest = failure.strengths[-1]
        yield f"{kind}, {strongest:g} {failure.unit}"[:32], [failure.apply(lead, strongest) for lead in leads]


def f1_by_threshold(detector: Detector, leads: list[EvaluationLead]) -> np.ndarray:
    """Return the F1 of all leads together at each threshold."""
    tables = np.zeros((len(THRESHOLDS), len(leads), 3))
    for place, lead in enumerate(leads):
        found = detector.detect(lead.clean, fs=lead.fs)
        for index, threshold in enumerate(THRESHOLDS):
            matches = match_r_peaks(
                lead.r_peaks,
                found.above(threshold).samples,
                tolerance=tolerance_samples(_TOLERANCE_MS, fs=lead.fs),
                excluded_intervals=lead.excluded_intervals,
            )
            tables[index, place] = matches.table
    return np.array([pooled_f1(table) for table in tables])


def _row(values: np.ndarray | tuple[float, ...]) -> str:
    return " ".join(f"{value:6.2f}" for value in values)


if __name__ == "__main__":
    main()
