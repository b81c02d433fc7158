"""Detectors under changes that must not matter, and under failures of devices."""
