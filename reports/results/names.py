"""The names that the values of a report, its tables and its plots share."""

NOISY, DENOISED, CLEAN = "noisy", "denoised", "clean"
INPUTS = (NOISY, DENOISED, CLEAN)
"""What a detector is given: the test signal with noise, the same cleaned by the denoiser, and without noise."""

LSTM, GRU, NO_FILTER = "LSTM denoiser", "GRU detector", "noisy input"

TOLERANCES_MS = (150, 75, 50)
"""Within which a detection counts as right. ANSI/AAMI EC57 asks for 150; the narrower ones show whether a detector
sits on the R peak or beside it."""
