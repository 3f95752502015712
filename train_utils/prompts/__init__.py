"""Messages rendered by a chat template."""
