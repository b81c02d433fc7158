"""Tests of inference on arrays."""
