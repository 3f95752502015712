"""The engine: constrained decoding of batches."""
