"""Titles in a message: which words mean one, and whether it is liked, disliked, known or asked for."""
