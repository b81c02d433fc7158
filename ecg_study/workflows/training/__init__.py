"""Training of one configuration for a number of segments, epochs or hours."""
