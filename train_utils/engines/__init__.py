"""The constraint in other inference engines: grammar, request format, plugins."""
