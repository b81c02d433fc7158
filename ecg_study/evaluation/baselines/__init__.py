"""Classical filters and R-peak detectors."""
