"""Recordings in clinical file formats."""
