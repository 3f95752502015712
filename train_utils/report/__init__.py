"""Results as tables and as one HTML page."""
