"""ECG data: records, noise and segments."""
