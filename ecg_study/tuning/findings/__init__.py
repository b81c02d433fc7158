"""What a search found: importance of hyperparameters, ranges, time and size of networks."""
