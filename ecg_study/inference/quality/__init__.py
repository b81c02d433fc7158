"""What a lead shows of its own quality: gaps, noise in silences, and the level of the noise."""
