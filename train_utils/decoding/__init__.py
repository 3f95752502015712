"""Constrained decoding of batches."""
