"""Inference on arrays: R peaks or denoised signals from ECG of any rate, length and number of leads."""
