"""Results of the benchmark as values, JSON and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.quality.deepfilter.beats import FS
from benchmarks.quality.deepfilter.metrics import BeatErrors, Scores, beat_errors, mean_scores
from ecg_study.formatting import duration

POOLED = "both"

Denoise = Callable[[np.ndarray], np.ndarray]
"""Function from noisy to denoised beats, both of shape ``(beats, samples)``, in mV."""


@dataclass(frozen=True)
class PublishedRow:
    """A published result for both noise versions pooled, as printed.

    Attributes:
        method: name, and kind of the method.
        ssd, mad, prd, cosine: the four measures.
    """

    method: str
    ssd: str
    mad: str
    prd: str
    cosine: str


PUBLISHED = (
    PublishedRow("DRNN (LSTM)", "6.70", "0.48", "50", "0.88"),
    PublishedRow("DeepFilter", "5.20", "0.39", "50.4", "0.897"),
    PublishedRow("DeScoD-ECG (diffusion, 10 shots)", "3.771", "0.329", "40.5", "0.926"),
    PublishedRow("MECG-E (Mamba)", "3.445", "0.319", "37.6", "0.936"),
)
"""Romero et al. 2021, Li et al. 2023 and Hung et al. 2024, as their authors published them."""


@dataclass(frozen=True)
class MeasuredRow:
    """A method, measured in this run.

    Attributes:
        method: its name.
        version: noise version, or `POOLED`.
        scores: means over beats.
    """

    method: str
    version: str
    scores: Scores


@dataclass(frozen=True)
class TrainingFacts:
    """Facts about a training.

    Attributes:
        version: noise version.
        parameters: weights.
        beats: beats shown in training.
        seconds: time of training.
        epoch: epoch of the weights that are kept.
        averaged: whether they are averages over the steps.
        history: row of each epoch.
    """

    version: int
    parameters: int
    beats: int
    seconds: float
    epoch: float | None
    averaged: bool
    history: Sequence[dict[str, float]]


@dataclass(frozen=True)
class BenchmarkResult:
    """All results of one run.

    Attributes:
        part: part whose beats were judged, ``"test"`` or ``"validation"``.
        counts: training beats, validation included, and test beats.
        as_published: whether these are the beats of the published preparation.
        rows: measured methods.
        trainings: trained models.
        settings: settings of the trainings, as JSON.
    """

    part: str
    counts: tuple[int, int]
    as_published: bool
    rows: Sequence[MeasuredRow]
    trainings: Sequence[TrainingFacts]
    settings: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON, with the published rows."""
        return {**asdict(self), "published": [asdict(row) for row in PUBLISHED]}


class Judge:
    """Collects the errors of methods on the beats of each version.

    Attributes:
        errors: method → version → errors.
    """

    def __init__(self) -> None:
        self.errors: dict[str, dict[str, BeatErrors]] = {}

    def add(self, method: str, version: int, *, clean: np.ndarray, denoised: np.ndarray) -> None:
        """Measure a method on the beats of one version."""
        self.errors.setdefault(method, {})[str(version)] = beat_errors(clean, denoised)

    def rows(self) -> list[MeasuredRow]:
        """Return each method with both versions pooled, if it has both, and then each version."""
        rows = []
        for method, versions in self.errors.items():
            if len(versions) > 1:
                rows.append(MeasuredRow(method, POOLED, mean_scores(list(versions.values()))))
            rows += [MeasuredRow(method, version, mean_scores([errors])) for version, errors in versions.items()]
        return rows


def baselines() -> dict[str, Denoise]:
    """Return the methods without training by name."""
    from ecg_study.evaluation.baselines.filters import HIGHPASS, highpass

    return {"noisy beats": lambda noisy: noisy, HIGHPASS: lambda noisy: highpass(noisy, FS)}


def render(result: BenchmarkResult) -> Iterator[str]:
    """Yield the lines of the Markdown table and of its notes."""
    training, test = result.counts
    counts = "as published" if result.as_published else "not those of the published preparation: no result"
    yield f"Judged: {result.part} beats. {training:,} training beats, {test:,} test beats ({counts})."
    if result.part == "test":
        yield "The published division has a test record, sele0121, that is probably of the person of a training record."
    yield ""
    yield "| method | noise version | SSD, mV² | MAD, mV | PRD, % | cosine |"
    yield "|---|---|---|---|---|---|"
    if result.part == "test":
        for row in PUBLISHED:
            yield f"| {row.method}, published | {POOLED} | {row.ssd} | {row.mad} | {row.prd} | {row.cosine} |"
    for measured in result.rows:
        scores = measured.scores
        values = f"{scores.ssd:.3f} | {scores.mad:.3f} | {scores.prd:.2f} | {scores.cosine:.4f}"
        yield f"| {measured.method} | {measured.version} | {values} |"
    for facts in result.trainings:
        kept = "averaged weights" if facts.averaged else "weights"
        epoch = "" if facts.epoch is None else f" of epoch {facts.epoch:g}"
        yield ""
        yield (
            f"Version {facts.version}: {facts.parameters:,} weights, {facts.beats:,} beats shown in "
            f"{duration(facts.seconds)}; {kept}{epoch}."
        )
