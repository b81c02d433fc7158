"""The report as JSON: written, read again and checked against its types, with a schema for others."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ecg_study.errors import EcgStudyError
from ecg_study.files import write_text
from ecg_study.reports.report import REPORT_FORMAT, Report
from ecg_study.reports.schema_upgrade import READABLE_FORMATS, upgrade_report

_DIGITS = 7
"""Significant digits of a figure: more than any that is shown, and half the size of all that a float holds."""


def report_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of ``report.json``."""
    schema = _adapter().json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Report of an ECG study", **schema}


def rounded(report: Report) -> Report:
    """The report as it will be read again: figures of seven significant digits."""
    return parse_report(dump_report(report))


def dump_report(report: Report) -> str:
    """The report as JSON text.

    Raises:
        ValueError: a figure is not finite, which is no JSON: a fault of the program.
    """
    content = _rounded(_adapter().dump_python(report, mode="json"))
    return json.dumps(content, allow_nan=False, separators=(",", ":")) + "\n"


def write_report(path: Path, report: Report) -> None:
    """Write ``report.json``, whole or not at all."""
    write_text(path, dump_report(report))


def parse_report(text: str) -> Report:
    """The report from its JSON text.

    Raises:
        ValueError: the text is no report of this format; what is wrong and where.
    """
    content = json.loads(text)
    found = content.get("format") if isinstance(content, dict) else None
    if found not in READABLE_FORMATS:
        raise ValueError(f"format {found}, this program reads {REPORT_FORMAT}")
    report: Report = _adapter().validate_python(upgrade_report(content))
    return report


def read_report(path: Path) -> Report:
    """Read ``report.json``.

    Raises:
        StudyError: it is not there, damaged, or of another format.
    """
    if not path.is_file():
        raise EcgStudyError(f"{path}: no report here; run 'study.py report' with the same --out first")
    try:
        return parse_report(path.read_text(encoding="utf-8"))
    except ValueError as error:
        reason = str(error).splitlines()
        said = " ".join(" ".join(reason[:3]).split())
        raise EcgStudyError(
            f"{path}: not a report that can be read ({said}); make it again with 'study.py report'"
        ) from error


def to_json(value: Any) -> Any:
    """Any value of a report as plain JSON values."""
    import pydantic_core

    return _rounded(pydantic_core.to_jsonable_python(value))


def _adapter() -> Any:
    import pydantic

    return pydantic.TypeAdapter(Report)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{_DIGITS}g}")
    return value
