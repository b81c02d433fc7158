"""R peaks on test records: our detector and the classical ones, on the same leads, by the same matcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reports.measuring.classical import Found
from reports.measuring.leads import WholeLead, by_record
from reports.measuring.matching import Matches, match_r_peaks
from reports.measuring.measures import bootstrap, counts, pooled_f1
from reports.results import (
    GRU,
    NOISY,
    TOLERANCES_MS,
    Jitter,
    PairedGain,
    PeaksSummary,
    RecordPeaks,
)
from reports.results.figures import Counts

LEARNING = 300.0
"""Seconds at the start of a record that ANSI/AAMI EC57 leaves out, so that a detector may learn."""

FEWEST_RECORDS = 6
"""Below this, a difference is not called real: that five records all lie on one side of 0 happens by luck in
2 · 0.5⁵ = 6 % of cases, more than the 5 % that the intervals leave."""

Place = tuple[str, str]
"""Detector and kind of input."""


def peaks_by_record(leads: Sequence[WholeLead], found: Mapping[Place, Sequence[Found]]) -> list[RecordPeaks]:
    """Every detector and kind of input on every lead, within each tolerance."""
    return [
        record_peaks(lead, detector, kind, results[place])
        for place, lead in enumerate(leads)
        for (detector, kind), results in found.items()
    ]


def record_peaks(lead: WholeLead, detector: str, kind: str, found: Found) -> RecordPeaks:
    """One detector on one lead."""
    whole, later = {}, {}
    offset = None
    for tolerance in TOLERANCES_MS:
        matches = match(lead, found.r_peaks, tolerance)
        whole[tolerance] = matches.table
        later[tolerance] = match(lead, found.r_peaks, tolerance, skipped=LEARNING).table
        if tolerance == TOLERANCES_MS[0] and len(matches.offsets):
            offset = 1000 * float(np.median(matches.offsets)) / lead.fs
    return RecordPeaks(lead.record, lead.lead, detector, kind, whole, later, offset, found.error)


def match(lead: WholeLead, r_peaks: np.ndarray, tolerance_ms: int, skipped: float = 0.0) -> Matches:
    """Match detections with the annotations of a lead, leaving out so many seconds at its start."""
    unscored = (*lead.unscored, (0, round(skipped * lead.fs))) if skipped else lead.unscored
    return match_r_peaks(lead.r_peaks, r_peaks, round(tolerance_ms * lead.fs / 1000), unscored)


def summarise_peaks(leads: Sequence[WholeLead], rows: Sequence[RecordPeaks], seed: int) -> list[PeaksSummary]:
    """All records, for each detector, input and tolerance, with and without the first five minutes.

    A record that is no longer than these five minutes has no part in the figures without them; where none is
    longer, these figures are left out.
    """
    summaries = []
    long = any(len(lead.clean) > LEARNING * lead.fs for lead in leads)
    for detector, kind in dict.fromkeys((row.detector, row.input) for row in rows):
        for skipped in (False, True) if long else (False,):
            for tolerance in TOLERANCES_MS:
                table = peak_table(leads, rows, (detector, kind), tolerance, skipped)
                summaries.append(_summary((detector, kind), tolerance, skipped, table, seed))
    return summaries


def _summary(place: Place, tolerance: int, skipped: bool, table: np.ndarray, seed: int) -> PeaksSummary:
    each = [counts(*(int(n) for n in row)) for row in table if row.sum()]
    return PeaksSummary(
        detector=place[0],
        input=place[1],
        tolerance_ms=tolerance,
        skipped=skipped,
        counts=added_up(table),
        f1=bootstrap(table, pooled_f1, seed),
        mean_sensitivity=float(np.mean([item.sensitivity for item in each])),
        mean_precision=float(np.mean([item.precision for item in each])),
        mean_f1=float(np.mean([item.f1 for item in each])),
    )


def added_up(table: np.ndarray) -> Counts:
    """Counts of all rows ``(TP, FN, FP)`` together."""
    return counts(*(int(n) for n in table.sum(axis=0)))


def peak_table(
    leads: Sequence[WholeLead], rows: Sequence[RecordPeaks], place: Place, tolerance: int, skipped: bool = False
) -> np.ndarray:
    """Counts ``(TP, FN, FP)``, one row a record."""
    chosen = [row for row in rows if (row.detector, row.input) == place]
    counted = [(row.later if skipped else row.whole)[tolerance] for row in chosen]
    return by_record(leads, np.array(counted, dtype=np.int64))


def jitter_edges(fs: float) -> list[float]:
    """Edges in ms of bins of one sample, out to the widest tolerance."""
    reach = round(TOLERANCES_MS[0] * fs / 1000)
    return [round(1000 * (offset - 0.5) / fs, 3) for offset in range(-reach, reach + 2)]


def measure_jitter(leads: Sequence[WholeLead], found: Mapping[Place, Sequence[Found]]) -> list[Jitter]:
    """How far detections lie from their annotation, noisy input, all records together."""
    results = []
    for (detector, kind), peaks in found.items():
        if kind != NOISY:
            continue
        matched = [match(lead, item.r_peaks, TOLERANCES_MS[0]) for lead, item in zip(leads, peaks, strict=True)]
        offsets = np.concatenate([item.offsets for item in matched]) * 1000 / leads[0].fs
        histogram, _ = np.histogram(offsets, jitter_edges(leads[0].fs))
        median = spread = None
        if len(offsets):
            low, middle, high = np.quantile(offsets, [0.25, 0.5, 0.75])
            median, spread = float(middle), float(high - low) / 2
        results.append(Jitter(detector, [int(n) for n in histogram], median, spread))
    return results


def paired_gains(leads: Sequence[WholeLead], rows: Sequence[RecordPeaks], seed: int) -> list[PairedGain]:
    """Our detector against each other one, both on noisy input."""
    others = [name for name in dict.fromkeys(row.detector for row in rows) if name != GRU]
    gains = []
    for other in others:
        for tolerance in TOLERANCES_MS:
            ours = peak_table(leads, rows, (GRU, NOISY), tolerance)
            theirs = peak_table(leads, rows, (other, NOISY), tolerance)
            table = np.concatenate([ours, theirs], axis=1)
            gain = bootstrap(table, lambda drawn: pooled_f1(drawn[:, :3]) - pooled_f1(drawn[:, 3:]), seed)
            real = gain.low > 0 or gain.high < 0 if len(table) >= FEWEST_RECORDS else None
            gains.append(PairedGain(other, tolerance, gain, real))
    return gains
