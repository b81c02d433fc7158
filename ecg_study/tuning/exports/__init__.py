"""Exports of searches to other tools."""
