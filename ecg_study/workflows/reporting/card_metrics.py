"""Test metrics in model cards: from reports, and from evaluations of a finished model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecg_study.evaluation.experiments.model_evaluation import (
    RECORDED,
    SIGMA_MV,
    DenoiserEvaluation,
    DetectorEvaluation,
)
from ecg_study.evaluation.leads import databases_of
from ecg_study.evaluation.results.harm import HarmSection, MorphologyChange
from ecg_study.evaluation.results.values import LSTM, TOLERANCES_MS, Estimate
from ecg_study.files import sha256_of, write_json, write_text
from ecg_study.models.card import CARD_FILE, MODEL_FILE, ONNX_FILE, PAGE_FILE, card_content, read_card
from ecg_study.reading import read_text
from ecg_study.reports.schema import to_json

ABOVE_HIGHPASS = "above the high-pass of the reference in dB"
"""Name of the difference of SNR improvements in dB, paired by record."""

_RESULTS = "## Results"
"""Start of the heading of the results on a page."""


def harm_metrics(harm: HarmSection, *, part: str = "test", compared: bool = False) -> dict[str, Any]:
    """Return the results of our denoiser on whole recordings, without added noise and by type of noise and level.

    Args:
        harm: the results.
        part: part of the records.
        compared: whether to return those of the filters too.
    """
    metrics: dict[str, Any] = {}
    for clean in harm.clean:
        if clean.method == LSTM:
            metrics[f"{part}, whole records, no noise added"] = {
                "change in dB": to_json(clean.change),
                "worst tenth in dB": to_json(clean.worst_tenth),
                **_by_database(clean.by_database),
                **_wave_metrics(clean.morphology),
            }
    for cell in harm.noisy:
        if cell.method == LSTM:
            levels = metrics.setdefault(f"{part}, whole records, {cell.noise_type}", {})
            levels[f"{cell.snr} dB"] = {
                "SNR improvement in dB": to_json(cell.improvement),
                "worst tenth in dB": to_json(cell.worst_tenth),
                ABOVE_HIGHPASS: to_json(cell.above_highpass),
                **_by_database(cell.by_database),
                **_wave_metrics(cell.morphology),
            }
        elif compared:
            levels = metrics.setdefault(f"{part}, whole records, {cell.noise_type}, {cell.method}", {})
            levels[f"{cell.snr} dB"] = {
                ABOVE_HIGHPASS: to_json(cell.above_highpass),
                **_by_database(cell.by_database),
            }
    return metrics


def on_database(name: str) -> str:
    """Return the key in a card of the metric before it, on the records of one database."""
    return f"the same, {name}"


def _by_database(values: Mapping[str, Estimate]) -> dict[str, Any]:
    return {on_database(name): to_json(value) for name, value in values.items()}


def _wave_metrics(change: MorphologyChange | None) -> dict[str, Any]:
    if change is None:
        return {}
    return {
        "ST level changed by 0.1 mV or more": to_json(change.false_st),
        "QRS width changed by 20 ms or more": to_json(change.false_qrs),
        "T end changed by 20 ms or more": to_json(change.false_qt),
        "changes of waves": {
            name: None if item is None else {"median": to_json(item.median), "95 % within": to_json(item.p95)}
            for name, item in change.changes.items()
        },
    }


def evaluation_metrics(result: DetectorEvaluation | DenoiserEvaluation) -> dict[str, Any]:
    """Return the metrics of an evaluation for a card; of several databases, those of each too."""
    databases, part = databases_of(result.records), result.part
    if isinstance(result, DenoiserEvaluation):
        named = {"": "mean over records", **{name: f"{name}, mean over records" for name in databases}}
        metrics: dict[str, Any] = {
            f"{part}, {title}": {
                "mae": to_json(result.mae(database=name)),
                "rmse": to_json(result.rmse(database=name)),
                "white noise in mV": SIGMA_MV,
            }
            for name, title in named.items()
        }
        return metrics | ({} if result.harm is None else harm_metrics(result.harm, part=part, compared=True))
    metrics = {}
    for name in ("", *databases):
        prefix = f"{part}, {name}, as recorded" if name else f"{part}, as recorded"
        for tolerance in TOLERANCES_MS:
            f1 = result.f1(tolerance_ms=tolerance, condition=RECORDED, database=name)
            metrics[f"{prefix}, R peaks within {tolerance} ms"] = {"f1": to_json(f1)}
    if result.noise_stress:
        levels = {f"{snr} dB": to_json(counts.f1) for snr, counts in result.noise_stress.items()}
        metrics[f"{part}, noise stress, R peaks within 150 ms, f1"] = levels
    errors = {"as recorded": result.confidence.error}
    errors |= {f"noise stress, {snr} dB": item.error for snr, item in result.confidence_in_noise.items()}
    metrics[f"{part}, calibration error of confidences"] = to_json(errors)
    return metrics


def write_card_metrics(
    folder: Path,
    result: DetectorEvaluation | DenoiserEvaluation,
    *,
    rows: Sequence[tuple[str, str]],
    command: str,
) -> None:
    """Write the metrics of an evaluation into both cards of a model folder.

    Metrics of other parts stay. On the page, the section with the results is replaced.

    Args:
        folder: the model folder.
        result: the evaluation.
        rows: name and value of each metric.
        command: the command that prints them.

    Raises:
        ModelError: the folder is damaged.
    """
    card = read_card(folder)
    kept = {name: value for name, value in card.metrics.items() if not name.startswith(f"{result.part}, ")}
    card = replace(card, metrics=kept | evaluation_metrics(result))
    hashes = {name: sha256_of(folder / name) for name in (MODEL_FILE, ONNX_FILE) if (folder / name).is_file()}
    page = folder / PAGE_FILE
    if page.is_file():
        before, after = _around_results(read_text(page))
        text = "\n".join(f"{name:54} {value}".rstrip() for name, value in rows)
        measured = f"{len(result.records)} {result.part} records, which the model has not seen, by `{command}`:"
        write_text(page, f"{before}{_RESULTS}\n\n{measured}\n\n```text\n{text}\n```\n{after}")
    write_json(folder / CARD_FILE, card_content(card, hashes))


def _around_results(page: str) -> tuple[str, str]:
    """Return what is before and after the section with the results, which may be missing."""
    sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    place = next((number for number, text in enumerate(sections) if text.startswith(_RESULTS)), len(sections))
    before, after = "".join(sections[:place]).rstrip("\n") + "\n\n", "".join(sections[place + 1 :])
    return before, f"\n{after}" if after else ""
