"""What a terminal or a browser shows of running work."""
