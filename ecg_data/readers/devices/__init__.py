"""File formats of consumer and laboratory devices."""
