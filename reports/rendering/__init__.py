"""From the report value to the pages that people read. Nothing is computed here."""
