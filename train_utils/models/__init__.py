"""Backbones, adapters and trained models."""
