"""All leads of a record against each lead alone: ``python -m benchmarks.quality.robustness.leads MODEL --raw-dir …``.

Printed is the pooled F1 within 150 and 50 ms of the first lead, the second, all leads together, and the first two leads
of which one is replaced by white noise or by a lead that is off. Records with one lead are left out. Marks off the R
peaks are moved to them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.catalog import open_database
from ecg_study.ecg_data.databases.splits import TEST, VALIDATION
from ecg_study.evaluation.leads import EvaluationLead, match
from ecg_study.evaluation.metrics import pooled_f1
from ecg_study.inference.detector import Detector
from ecg_study.inference.loading import load_detector
from ecg_study.workflows.evaluate import open_records

_TOLERANCES_MS = (150, 50)
_NOISE_MV = 0.5

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Function of the leads of a record, shape ``(samples, leads)``: returns the input of the detector."""

INPUTS: dict[str, Change] = {
    "first lead": lambda leads, _: leads[:, :1],
    "second lead": lambda leads, _: leads[:, 1:2],
    "all leads": lambda leads, _: leads,
    "first lead, white noise": lambda leads, rng: np.stack([leads[:, 0], _white(len(leads), rng)], axis=1),
    "white noise, second lead": lambda leads, rng: np.stack([_white(len(leads), rng), leads[:, 1]], axis=1),
    "first lead, lead off": lambda leads, _: np.stack([leads[:, 0], np.zeros(len(leads))], axis=1),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":", maxsplit=1)[0])
    parser.add_argument("model", help="name or folder of a detector")
    parser.add_argument("--database", default="mitdb,qtdb", help="databases (default: mitdb,qtdb)")
    parser.add_argument("--raw-dir", type=Path, required=True, help="folder with a folder for each database")
    parser.add_argument("--part", choices=(VALIDATION, TEST), default=VALIDATION)
    options = parser.parse_args()
    detector = load_detector(options.model)
    data = open_database(options.database, raw_dir=options.raw_dir)
    records = open_records(data, part=options.part, fs=detector.card.fs)
    pairs = [pair for pair in zip(records.leads, records.all_leads, strict=True) if pair[1].shape[1] > 1]
    for name in data.names:
        own = [pair for pair in pairs if data.member(pair[0].record).database == name]
        print(f"{name}: {len(own)} {options.part} records with several leads; F1 within 150 and 50 ms, %")
        tables = {title: counts(detector, own, change=change) for title, change in INPUTS.items()}
        for title, table in tables.items():
            print(f"  {title:28} {_shown(table)}", flush=True)
        single = (tables["first lead"], tables["second lead"])
        best = [max(pooled_f1(table[tolerance]) for table in single) for tolerance in range(len(_TOLERANCES_MS))]
        lost = [f"{100 * (pooled_f1(tables['all leads'][place]) - value):+.3f}" for place, value in enumerate(best)]
        print(f"  {'all leads − better lead':28} {' '.join(lost).replace('-', '−')} points")


def counts(detector: Detector, pairs: list[tuple[EvaluationLead, np.ndarray]], *, change: Change) -> np.ndarray:
    """Return true positives, false negatives and false positives, shape ``(tolerances, records, 3)``."""
    rows = []
    for number, (lead, signals) in enumerate(pairs):
        found = detector.detect(change(signals, np.random.default_rng(number)), fs=lead.fs).samples
        marks = lead.r_peaks if lead.aligned_r_peaks is None else lead.aligned_r_peaks
        moved = replace(lead, r_peaks=marks)
        rows.append([match(moved, found, tolerance_ms=tolerance).table for tolerance in _TOLERANCES_MS])
    return np.swapaxes(np.array(rows), 0, 1)


def _white(samples: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, _NOISE_MV, samples)


def _shown(table: np.ndarray) -> str:
    return " ".join(f"{100 * pooled_f1(rows):7.3f}" for rows in table)


if __name__ == "__main__":
    main()
