"""Augmentation: training segments that differ each time they are shown."""
