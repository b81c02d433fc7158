"""Inference on arrays: R peaks or denoised signals from ECG of any sampling rate."""
