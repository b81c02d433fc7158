"""Tests of prediction on recordings."""
