"""F1 of detectors under changes and failures, on validation records of MIT-BIH.

    python -m benchmarks.quality.robustness --detector gru-detector --raw-dir mitdb

First come changes that must not matter: pooled F1 of R peaks in percent, one-to-one within 150 and 50 ms. Then come
failures of devices and unusual hearts, each weak and strong, beside classical detectors: F1 within 150 ms. Intervals in
which the failure leaves nothing to find are not scored. Last come signals without an ECG: R peaks a minute, and the
share that the detector marks as unusable.

The records are the validation records of every study. The threshold was chosen on them, so figures are slightly too
good; compare them with each other. Test records are not read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.quality.robustness.changes import changes, detect_in_chunks, measure, usual
from benchmarks.quality.robustness.failures import FAILURES
from benchmarks.quality.robustness.signals import SIGNALS_FS, SIGNALS_MINUTES, signals_without_ecg, usual_lead
from ecg_study.ecg_data.alignment import tolerance_samples
from ecg_study.ecg_data.databases.splits import MITDB_VALIDATION
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.evaluation.baselines.detectors import DETECTOR_NAMES, detect_r_peaks
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.evaluation.matching import match_r_peaks
from ecg_study.evaluation.metrics import pooled_f1
from ecg_study.inference.detector import Detector
from ecg_study.inference.loading import load_detector

_TOLERANCE_MS = 150
_FAST = ("sleepecg", "Kalidas")  # of the classical detectors


def main() -> None:
    """Measure, and print a line for each change, failure and signal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--detector", required=True, action="append", help="name or folder; may be given several times")
    parser.add_argument("--raw-dir", required=True, type=Path, help="folder of the MIT-BIH Arrhythmia Database")
    parser.add_argument(
        "--classical",
        nargs="*",
        choices=DETECTOR_NAMES,
        default=_FAST,
        metavar="NAME",
        help=f"classical detectors beside: {', '.join(DETECTOR_NAMES)} (default: {' and '.join(_FAST)})",
    )
    parser.add_argument("--skip-changes", action="store_true", help="leave out the changes that must not matter")
    options = parser.parse_args()
    detectors = {name: load_detector(name) for name in options.detector}
    if not options.skip_changes:
        for name, detector in detectors.items():
            print(f"{name}: F1 within 150 and 50 ms, %")
            _print_changes(detector, options.raw_dir)
    _print_failures(detectors, options.classical, options.raw_dir)
    _print_without_ecg(detectors)


def _print_changes(detector: Detector, raw_dir: Path) -> None:
    records = [read_record(raw_dir / name, lead="all") for name in MITDB_VALIDATION]
    for name, change in changes().items():
        print(f"{name:32} {_listed(measure(detector, records, change=change))}", flush=True)
    whole = measure(detector, records, change=usual, find=detect_in_chunks)
    print(f"{'a stream, chunks of a second':32} {_listed(whole)}")


def _print_failures(detectors: dict[str, Detector], classical: list[str], raw_dir: Path) -> None:
    columns = [*detectors, *classical]
    print(f"F1 within 150 ms, %: {', '.join(columns)}")
    leads = [usual_lead(raw_dir / name) for name in MITDB_VALIDATION]
    print(f"{'as recorded':52} {_listed([_f1(name, detectors, leads) for name in columns])}", flush=True)
    for kind, failure in FAILURES.items():
        for strength in failure.strengths:
            changed = [failure.apply(lead, strength) for lead in leads]
            title = f"{kind}, {strength:g} {failure.unit}"
            print(f"{title:52} {_listed([_f1(name, detectors, changed) for name in columns])}", flush=True)


def _f1(name: str, detectors: dict[str, Detector], leads: list[EvaluationLead]) -> float:
    """Return the pooled F1 of one detector."""
    tables = []
    for lead in leads:
        if name in detectors:
            found = detectors[name].detect(lead.clean, fs=lead.fs).samples
        else:
            found = detect_r_peaks(name, lead.clean, fs=lead.fs).samples
        tolerance = tolerance_samples(_TOLERANCE_MS, fs=lead.fs)
        matches = match_r_peaks(lead.r_peaks, found, tolerance=tolerance, excluded_intervals=lead.excluded_intervals)
        tables.append(matches.table)
    return pooled_f1(np.array(tables))


def _print_without_ecg(detectors: dict[str, Detector]) -> None:
    print(f"Without an ECG, R peaks a minute and share marked as unusable: {', '.join(detectors)}")
    for title, signal in signals_without_ecg(seed=1).items():
        found = [detector.detect(signal, fs=SIGNALS_FS) for detector in detectors.values()]
        unusable = [float(np.diff(peaks.unusable, axis=1).sum()) / len(signal) for peaks in found]
        columns = [
            f"{len(peaks) / SIGNALS_MINUTES:.1f} ({share:.0%})" for peaks, share in zip(found, unusable, strict=True)
        ]
        print(f"{title:52} {'  '.join(columns)}", flush=True)


def _listed(values: list[float]) -> str:
    return "  ".join(f"{100 * value:.2f}" for value in values)


if __name__ == "__main__":
    main()
