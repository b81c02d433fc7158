"""Retrain the best, measure, compare with classical methods, render.

Importing this package is light; Keras, scipy and matplotlib are imported where they are used.
"""

from reports.report import Study, make_report
from reports.results import Report

__all__ = ["Report", "Study", "make_report"]
