"""CLEF's published single-lead encoders (arXiv 2512.02180)."""
