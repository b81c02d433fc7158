"""The sections of the report: from what was measured on each lead to what is said of all."""
