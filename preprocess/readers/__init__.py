"""Readers of raw dumps, one module per format."""
