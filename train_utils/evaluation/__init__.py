"""Tests of models and baselines."""
