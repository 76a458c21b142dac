"""Pictures: arrays in, Matplotlib figures out."""
