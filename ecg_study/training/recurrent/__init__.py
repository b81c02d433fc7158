"""Compiled training steps of recurrent layers on the CPU."""
