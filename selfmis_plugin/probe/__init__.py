"""The classifier that judges every encoder: a linear head, its training and its figures."""
