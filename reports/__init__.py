"""Retrain the best, measure, compare with classical methods, render.

Importing this package is light; Keras, scipy and matplotlib are imported where they are used.
"""

from reports.report import SECTIONS, Study, make_report, render_again, usable_searches
from reports.results import Report
from reports.schema import read_report, report_schema

__all__ = [
    "SECTIONS",
    "Report",
    "Study",
    "make_report",
    "read_report",
    "render_again",
    "report_schema",
    "usable_searches",
]
