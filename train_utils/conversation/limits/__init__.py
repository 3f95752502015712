"""Limits on the list that a message asks for: categories, years and other ranges, shares, and their opposites."""
