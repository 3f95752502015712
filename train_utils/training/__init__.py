"""Supervised fine-tuning of RecLM-cgen and RecLM-ret."""
