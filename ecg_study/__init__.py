"""Pretrained models that denoise ECG and detect R peaks, and the study that produced them."""
