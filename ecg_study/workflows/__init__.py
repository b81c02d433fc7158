"""Workflows: what a command or a method of `Study` does."""
