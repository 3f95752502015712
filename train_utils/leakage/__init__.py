"""Leakage of test targets into training."""
