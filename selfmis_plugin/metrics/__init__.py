"""Figures of arrays: arrays in, numbers with intervals out."""
