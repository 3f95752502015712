"""Chat session, independent of the terminal."""
