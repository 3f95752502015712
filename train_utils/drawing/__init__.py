"""Figures and pages that reports of all kinds share."""
