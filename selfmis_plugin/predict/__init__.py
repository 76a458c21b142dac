"""Trained classifiers at work: model folders, and strips of single recordings."""
