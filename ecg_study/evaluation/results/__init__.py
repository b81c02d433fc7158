"""Results of experiments as typed values."""
