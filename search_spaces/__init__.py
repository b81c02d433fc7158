"""Search spaces: which hyperparameters may vary, within which ranges."""
