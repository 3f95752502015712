"""What a user asks for in a conversation: read from the text, kept as preferences, turned into item rules."""
