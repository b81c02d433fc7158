"""Evaluation of denoisers and detectors on test records as typed results."""
