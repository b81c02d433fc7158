"""Run the study from a checkout: ``python study.py VERB`` is the same as ``ecg-study VERB``."""

from __future__ import annotations

import sys

from ecg_study.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main(prog="python study.py"))
