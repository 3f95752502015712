"""The RecLM library: plain decisions at the bottom, tensors and network above them, runs on top."""
