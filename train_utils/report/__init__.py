"""Reports of results: tables and one HTML page."""
