"""Findings of a search: importance of hyperparameters, ranges, time and size of networks."""
