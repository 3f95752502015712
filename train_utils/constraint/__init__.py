"""The catalog constraint: tries, item rules and matchers."""
