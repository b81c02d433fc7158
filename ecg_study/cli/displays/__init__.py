"""Displays of running work on a terminal and in a browser."""
