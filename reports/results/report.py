"""The report as one value: everything it says, computed once, before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass

from reports.results.data import DataSummary, Provenance, Training
from reports.results.denoiser import DenoiserSection
from reports.results.detector import DetectorSection, Failure, StressSection
from reports.results.figures import Interval
from reports.results.search import SearchSummary

FORMAT = 3
"""Raised when a field changes; a report of another format is not read."""


@dataclass(frozen=True)
class Comparison:
    """A model against the best classical method on the same records.

    Attributes:
        figure: what is compared.
        model: name of ours.
        model_value: its figure.
        baseline: name of theirs.
        baseline_value: its figure.
        gain: how much better ours is, positive for better, with the interval of the paired bootstrap.
        real: whether the interval leaves out 0; ``None`` where there are too few records to tell.
    """

    figure: str
    model: str
    model_value: Interval
    baseline: str
    baseline_value: Interval
    gain: Interval
    real: bool | None


@dataclass(frozen=True)
class Report:
    """The whole report.

    Attributes:
        format: version of this value.
        provenance: command, settings, versions, machine.
        data: records and their parts.
        missing: what the report lacks and why, one sentence each; empty for a whole one.
        comparisons: the verdict.
        searches: one a model.
        trainings: one a model and seed.
        denoiser: ``None`` without a denoiser.
        detector: ``None`` without a detector.
        stress: ``None`` where it was not measured.
        failures: the worst stretches of the detector, the worst first.
    """

    format: int
    provenance: Provenance
    data: DataSummary
    missing: list[str]
    comparisons: list[Comparison]
    searches: list[SearchSummary]
    trainings: list[Training]
    denoiser: DenoiserSection | None
    detector: DetectorSection | None
    stress: StressSection | None
    failures: list[Failure]
