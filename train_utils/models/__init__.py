"""Backbones, adapters, trained models."""
