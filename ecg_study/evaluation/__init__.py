"""Evaluation: metrics of models and reference methods on test records."""
