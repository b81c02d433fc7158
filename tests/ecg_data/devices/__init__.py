"""Tests of recordings in clinical file formats."""
