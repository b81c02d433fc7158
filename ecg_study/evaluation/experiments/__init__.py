"""Experiments on test records."""
