"""Tests of arrays with names."""
