"""Workflows that make, export and compare reports."""
