"""Tests of recordings of consumer and laboratory devices."""
