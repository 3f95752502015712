"""Training samples: draw and encoding."""
