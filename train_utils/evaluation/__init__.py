"""Evaluation of models and baselines."""
