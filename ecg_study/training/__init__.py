"""Training: one loop, and the processes that run it."""
