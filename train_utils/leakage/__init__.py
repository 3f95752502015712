"""What may give test targets away."""
