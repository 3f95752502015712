"""The chat, without its screen."""
