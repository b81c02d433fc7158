"""Experiments: what is measured on the test records, and how."""
