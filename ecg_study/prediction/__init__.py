"""Prediction on recordings: models applied to files, with result files."""
