"""Losses in plain PyTorch, one a file."""
