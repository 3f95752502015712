"""Readers of raw dumps, one module a format."""
