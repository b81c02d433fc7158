"""Training of one configuration for as long as it takes."""
