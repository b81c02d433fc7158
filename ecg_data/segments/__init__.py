"""Segments of records: cache, augmentation and batches."""
