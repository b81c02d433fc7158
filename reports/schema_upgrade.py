"""Upgrade of a report that an earlier version wrote, so that it can be rendered and compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ecg_study.evaluation.results.values import GRU, NOISY, TOLERANCES_MS, peak_f1_metric

READABLE_FORMATS = (2, 3, 4, 5)
"""Formats of ``report.json`` that can be read; version 0.1.0 wrote format 3."""

_RENAMED: dict[str, dict[str, str]] = {
    "data": {
        "licence": "license",
        "segment": "segment_samples",
        "window": "window_samples",
        "sigma": "noise_sigma_mv",
        "left_out": "excluded_records",
        "unscored_segments": "excluded_segments",
    },
    "trainings[]": {"number": "seed_index"},
    "comparisons[]": {
        "figure": "metric",
        "baseline": "reference",
        "baseline_value": "reference_value",
        "gain": "difference",
        "real": "significant",
    },
    "denoiser": {"removes_drift": "removes_baseline_wander"},
    "denoiser.summaries[]": {"figures": "metrics"},
    "denoiser.by_record[]": {"figures": "metrics"},
    "denoiser.noise[]": {"kind": "noise_type", "figures": "metrics"},
    "denoiser.morphology[].r_amplitude": {"median": "value"},
    "denoiser.morphology[].qrs_width": {"median": "value"},
    "denoiser.morphology[].st_level": {"median": "value"},
    "denoiser.seeds[]": {"figure": "metric"},
    "detector.seeds[]": {"figure": "metric"},
    "detector.peaks[]": {"skipped": "after_learning"},
    "detector.peaks_by_record[]": {"whole": "counts", "later": "counts_after_learning"},
    "detector.paired[]": {"baseline": "reference", "gain": "difference", "real": "significant"},
    "failures[]": {"missed": "false_negatives", "false": "false_positives"},
}
"""Place in a report of format 3 → old key → new key.

A place is a path of old keys; ``[]`` after a key stands for each item of a list, or each value of a mapping. The report
itself is ``""``.
"""

_METRICS = {f"R peaks: F1 within {tolerance} ms": peak_f1_metric(tolerance) for tolerance in TOLERANCES_MS}

_NOT_MEASURED = re.compile(r"(118e, 119e) is left out:([^.]+)\.")
"""Part of the note on the noise stress test."""

_NEW_VALUES: dict[str, dict[str, dict[Any, Any]]] = {
    "comparisons[]": {"figure": _METRICS},
    "detector.seeds[]": {"figure": _METRICS},
}
"""Place in a report of format 3 → old key → old value → new value, for names that are stored as values."""


def upgrade_report(content: dict[str, Any]) -> dict[str, Any]:
    """Bring a report of an earlier format to the current one.

    Args:
        content: a parsed ``report.json`` of any of `READABLE_FORMATS`; it is changed in place.

    Returns:
        The same dictionary.
    """
    if content["format"] == 2:
        _from_2_to_3(content)
    if content["format"] == 3:
        _from_3_to_4(content)
    if content["format"] == 4:
        _from_4_to_5(content)
    return content


def _from_2_to_3(content: dict[str, Any]) -> None:
    for training in content["trainings"]:
        training["augmentation"] = {}
    if content["denoiser"]:
        content["denoiser"]["removes_drift"] = False
    content["format"] = 3


def _from_3_to_4(content: dict[str, Any]) -> None:
    for place, values in _NEW_VALUES.items():
        for found in _at(content, place):
            _replace_values(found, values)
    # The deepest first: a path is made of old keys.
    for place in sorted(_RENAMED, key=lambda path: path.count(".") + bool(path), reverse=True):
        for found in _at(content, place):
            _rename(found, _RENAMED[place])
    for restructure in _RESTRUCTURED:
        restructure(content)
    content["format"] = 4


def _from_4_to_5(content: dict[str, Any]) -> None:
    if content["denoiser"]:
        content["denoiser"]["harm"] = None
    content["format"] = 5


def _at(content: dict[str, Any], place: str) -> Iterator[dict[str, Any]]:
    """Yield each dictionary at a place; none where a section is missing."""
    found: list[Any] = [content]
    for step in place.split(".") if place else []:
        key, each = step.removesuffix("[]"), step.endswith("[]")
        inner = [item[key] for item in found if item.get(key) is not None]
        if each:
            inner = [item for group in inner for item in (group.values() if isinstance(group, dict) else group)]
        found = inner
    yield from found


def _rename(found: dict[str, Any], names: dict[str, str]) -> None:
    items = [(names.get(key, key), value) for key, value in found.items()]
    found.clear()
    found.update(items)


def _replace_values(found: dict[str, Any], values: dict[str, dict[Any, Any]]) -> None:
    for key, replacements in values.items():
        if key in found:
            found[key] = replacements.get(found[key], found[key])


def _name_roles(content: dict[str, Any]) -> None:
    """Replace the seed number 0, which marked the model that thresholds were chosen with."""
    for training in content["trainings"]:
        training["role"] = "final" if training["seed_index"] else "thresholds"
        training["seed_index"] = training["seed_index"] or 1


def _complete_paired_comparisons(content: dict[str, Any]) -> None:
    """Add the metric of both detectors to each difference; it is stored with the peaks of the whole records."""
    if content["detector"] is None:
        return
    f1 = {
        (item["detector"], item["tolerance_ms"]): item["f1"]
        for item in content["detector"]["peaks"]
        if item["input"] == NOISY and not item["after_learning"]
    }
    for item in content["detector"]["paired"]:
        tolerance = item.pop("tolerance_ms")
        item["metric"], item["model"] = peak_f1_metric(tolerance), GRU
        item["model_value"], item["reference_value"] = f1[GRU, tolerance], f1[item["reference"], tolerance]


def _join_intervals(content: dict[str, Any]) -> None:
    """Join values and their intervals, which had fields of their own."""
    for row in content["stress"]["rows"] if content["stress"] else ():
        low, high = row.pop("low"), row.pop("high")
        row["f1"] = None if low is None else {"value": row["f1"], "low": low, "high": high}
    for search in content["searches"]:
        for item in search["importances"]:
            item["r2_drop"] = {"value": item.pop("value"), "low": item.pop("low"), "high": item.pop("high")}


def _keep_reasons(content: dict[str, Any]) -> None:
    """Reduce the notes on noise to the reasons why something was not measured; the rest is text of the page."""
    denoiser, stress = content["denoiser"], content["stress"]
    if denoiser is not None and denoiser["noise"]:
        denoiser["noise_note"] = ""
    if stress is not None:
        reasons = [f"{test} were not measured:{why}." for test, why in _NOT_MEASURED.findall(stress["note"])]
        short = "No test record is longer than five minutes."
        stress["note"] = " ".join([*reasons, *([short] if short in stress["note"] else [])])


def _replace_wording(content: dict[str, Any]) -> None:
    """Replace terms in stored texts that the program words differently now."""
    excluded = content["data"]["excluded_records"]
    for record, reason in excluded.items():
        excluded[record] = reason.replace("same person as", "same subject as")
    for item in content["comparisons"]:
        item["reference"] = item["reference"].replace(" behind our denoiser", " after our denoiser")


_RESTRUCTURED: tuple[Callable[[dict[str, Any]], None], ...] = (
    _name_roles,
    _complete_paired_comparisons,
    _join_intervals,
    _keep_reasons,
    _replace_wording,
)
"""Changes of structure, made in this order after keys and values have been renamed."""
