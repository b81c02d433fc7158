"""Confidences of a detector on validation records: ``python -m benchmarks.quality.calibration MODEL``.

It prints the calibration error and the precision of R peaks of high confidence for each level of electrode motion. The
first lines use the peak probability as confidence. The next use calibrations fitted under some or all levels, each
subject with a calibration from the others. The last line combines all leads of a record and uses the calibration of the
model. No test record is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ecg_study.ecg_data.databases.catalog import Database, open_database
from ecg_study.ecg_data.databases.facts import JOINABLE
from ecg_study.ecg_data.databases.splits import VALIDATION
from ecg_study.ecg_data.noise_stress import add_electrode_motion
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.calibration import (
    MOTION_LEVELS_DB,
    PeakOutcomes,
    calibrations_of_others,
    peak_outcomes,
    summarize_confidences,
)
from ecg_study.evaluation.experiments.model_evaluation import EvaluationRecords
from ecg_study.evaluation.results.detection import ConfidenceSummary
from ecg_study.inference.detector import Detector
from ecg_study.inference.loading import load_detector
from ecg_study.workflows.evaluate import open_records

LEVELS = (None, *MOTION_LEVELS_DB)
"""SNR of the electrode motion in dB; ``None`` for the recording."""

CHOICES = ((None,), (None, 12), (None, 12, 0), LEVELS)
"""Levels that calibrations are compared of; the last are those of the program."""

Outcomes = Mapping[str, Mapping[int | None, PeakOutcomes]]
"""Subject → level → R peaks with their peak probabilities."""


def main() -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":", maxsplit=1)[0])
    parser.add_argument("model", help="name or folder of a detector")
    parser.add_argument("--raw-dir", type=Path, required=True, help="folder with a folder for each database")
    parser.add_argument("--noise-dir", type=Path, required=True, help="folder of the noise stress test database")
    parser.add_argument("--plot", type=Path, help="PNG file for the reliability diagram")
    options = parser.parse_args()
    detector = load_detector(options.model)
    database = open_database(",".join(JOINABLE), raw_dir=options.raw_dir)
    records = open_records(database, part=VALIDATION, noise_dir=options.noise_dir, fs=detector.card.fs)
    outcomes = outcomes_by_subject(detector, database, records=records)
    print(f"{len(records.leads)} records of {len(outcomes)} subjects")
    summaries = {"peak probability": by_level(outcomes)}
    for levels in CHOICES:
        summaries[f"calibrated, {_named(levels)}"] = by_level(cross_calibrated(outcomes, levels))
    for title, found in summaries.items():
        for level, summary in found.items():
            print(f"{title:48} {_title(level):20} {_shown(summary)}", flush=True)
    together = summarize_confidences(PeakOutcomes.pooled(list(_together(detector, records))))
    print(f"{'calibration of the model':48} {'all leads together':20} {_shown(together)}")
    if options.plot is not None:
        draw(options.plot, summaries["peak probability"], summaries[f"calibrated, {_named(LEVELS)}"])


def outcomes_by_subject(detector: Detector, database: Database, *, records: EvaluationRecords) -> Outcomes:
    """Return the R peaks of the validation records at the threshold of a detector, with and without motion."""
    assert records.noise is not None
    model = CachedModel(detector)
    found: dict[str, dict[int | None, list[PeakOutcomes]]] = {}
    for lead in records.leads:
        source = records.noise.source(VALIDATION, fs=lead.fs)
        parts = found.setdefault(database.member(lead.record).subject, {level: [] for level in LEVELS})
        for level in LEVELS:
            signal = lead.clean
            if level is not None:
                signal = add_electrode_motion(signal, lead.r_peaks, source=source, fs=lead.fs, snr_db=level)
            parts[level].append(peak_outcomes(lead, model.candidates(signal).above(detector.card.thresholds["r_peak"])))
    return {
        subject: {level: PeakOutcomes.pooled(part) for level, part in parts.items()} for subject, parts in found.items()
    }


def cross_calibrated(outcomes: Outcomes, levels: Sequence[int | None]) -> Outcomes:
    """Return the R peaks of each subject with confidences from those of the others under some levels."""
    fitted = {subject: PeakOutcomes.pooled([by[level] for level in levels]) for subject, by in outcomes.items()}
    made: dict[str, dict[int | None, PeakOutcomes]] = {}
    for subject, calibration in calibrations_of_others(fitted).items():
        assert calibration is not None
        by = outcomes[subject]
        made[subject] = {level: replace(one, values=calibration.confidences(one.values)) for level, one in by.items()}
    return made


def by_level(outcomes: Outcomes) -> dict[int | str | None, ConfidenceSummary]:
    """Return the confidences at each level, and at all together, of all subjects."""
    pooled = {level: PeakOutcomes.pooled([by[level] for by in outcomes.values()]) for level in LEVELS}
    every = PeakOutcomes.pooled(list(pooled.values()))
    return {level: summarize_confidences(one) for level, one in pooled.items()} | {"all": summarize_confidences(every)}


def _together(detector: Detector, records: EvaluationRecords) -> Iterator[PeakOutcomes]:
    for lead, signals in zip(records.leads, records.all_leads, strict=True):
        yield peak_outcomes(lead, detector.detect(signals, fs=lead.fs))


def _named(levels: Iterable[int | None]) -> str:
    return ", ".join(_title(level) for level in levels)


def _title(level: int | str | None) -> str:
    return "as recorded" if level is None else level if isinstance(level, str) else f"{level} dB".replace("-", "−")


def _shown(summary: ConfidenceSummary) -> str:
    assert summary.error is not None
    text = f"error {summary.error:.4f}"
    for sure in summary.sure:
        if sure.share is not None and sure.precision is not None:
            text += (
                f"; from {sure.confidence:g}: {100 * sure.precision:.2f} % correct, {100 * sure.share:.1f} % of them"
            )
    return text


def draw(
    path: Path,
    before: Mapping[int | str | None, ConfidenceSummary],
    after: Mapping[int | str | None, ConfidenceSummary],
) -> None:
    """Draw the share of correct R peaks against peak probability and confidence, for each level."""
    from ecg_study.reports.plots.style import BLACK, BLUE, DPI, GRAY, GREEN, ORANGE, SMALL, VERMILION, make_axes

    figure, axes = make_axes(1, 2, height=3.8)
    titles = ("peak probability", "confidence, calibrated on other subjects")
    for axis, summaries, title in zip(axes, (before, after), titles, strict=True):
        for level, color, marker in zip(LEVELS, (BLUE, GREEN, ORANGE, VERMILION, BLACK), "osv^D", strict=True):
            summary = summaries[level]
            points = [(item.confidence, item.correct) for item in summary.bins]
            label = f"{_title(level)}: error {summary.error:.3f}"
            axis.plot(*zip(*points, strict=True), color=color, marker=marker, markersize=4, linewidth=1.2, label=label)
        axis.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8, zorder=0)
        axis.set(xlabel=title, ylabel="share of correct R peaks", xlim=(0, 1.01), ylim=(0, 1.02))
        axis.legend(frameon=False, fontsize=SMALL - 1, loc="lower right")
    figure.savefig(path, dpi=DPI)


if __name__ == "__main__":
    main()
