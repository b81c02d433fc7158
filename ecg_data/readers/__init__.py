"""Readers for recordings and annotations."""
