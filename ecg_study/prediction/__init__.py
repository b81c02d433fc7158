"""Prediction on recordings: a model applied to files, with CSV, WFDB, JSON and plot files as results."""
