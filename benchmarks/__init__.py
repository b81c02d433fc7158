"""Measurements that decide choices or check results; none is a test."""
