"""Scores that rank trainings on validation records."""
