"""Text tables: encoding, layout, cells and times."""
