"""A trained classifier as one HTML page."""
