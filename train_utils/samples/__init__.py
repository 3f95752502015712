"""Training samples, drawn and encoded."""
