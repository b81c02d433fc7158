"""Hyperband search of the hyperparameters of a model."""
