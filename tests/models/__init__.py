"""Tests of model folders and of the pretrained models."""
