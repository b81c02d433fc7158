"""The report as JSON: writing, reading with a check of all types, and a published schema."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ecg_study.errors import StateError
from ecg_study.files import write_text
from ecg_study.reading import first_problem, parse_json, read_json
from ecg_study.reports.report import REPORT_FORMAT, Report
from ecg_study.reports.schema_upgrade import READABLE_FORMATS, upgrade_report

_DIGITS = 7
"""Significant digits of a stored number: more than a report shows, in half the size of all digits of a float."""


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``report.json``."""
    schema = _adapter().json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Report of an ECG study", **schema}


def rounded(report: Report) -> Report:
    """Return the report with the precision of a stored one, seven significant digits."""
    return parse_report(dump_report(report))


def dump_report(report: Report) -> str:
    """Return the report as JSON text.

    Raises:
        ValueError: a number is not finite, which JSON cannot represent.
    """
    content = _rounded(_adapter().dump_python(report, mode="json"))
    return json.dumps(content, allow_nan=False, separators=(",", ":")) + "\n"


def write_report(path: Path, report: Report) -> None:
    """Write ``report.json`` atomically."""
    write_text(path, dump_report(report))


def parse_report(text: str) -> Report:
    """Return the report in a JSON text, upgraded from an earlier format if necessary.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: the text is not a report of a readable format.
    """
    return _report_from(parse_json(text))


def _report_from(content: Any) -> Report:
    found = content.get("format") if isinstance(content, dict) else None
    if found not in READABLE_FORMATS:
        raise ValueError(f"format {found!r}, this version reads up to {REPORT_FORMAT}")
    report: Report = _adapter().validate_python(upgrade_report(content))
    return report


def read_report(path: Path) -> Report:
    """Read ``report.json``.

    Raises:
        StateError: the file is missing, damaged or of an unreadable format.
    """
    import pydantic

    try:
        return _report_from(read_json(path))
    except FileNotFoundError as error:
        raise StateError(f"{path}: report not found; create the report of this study first") from error
    except pydantic.ValidationError as error:
        raise damaged_report(path, first_problem(error)) from error
    except (LookupError, TypeError, AttributeError) as error:  # of the upgrade
        raise damaged_report(path, "its values do not fit together") from error
    except ValueError as error:
        raise damaged_report(path, str(error)) from error


def damaged_report(path: Path, reason: str) -> StateError:
    """Return the error for a report that cannot be used."""
    return StateError(f"{path}: not a readable report ({reason}); create the report again")


def to_json(value: Any) -> Any:
    """Return a value of a report as plain JSON values."""
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
