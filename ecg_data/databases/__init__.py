"""Databases, splits and synthetic records."""
