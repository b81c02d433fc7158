"""Signal quality of a lead: gaps, noise in silences, and noise level."""
