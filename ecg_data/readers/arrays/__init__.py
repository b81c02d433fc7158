"""Recordings in files of named arrays: NumPy archives and MATLAB files."""
