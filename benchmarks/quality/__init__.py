"""Benchmarks of detection and denoising quality."""
