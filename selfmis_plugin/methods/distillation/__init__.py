"""Distillation: a classifier of one lead learns what a classifier of twelve says of each record."""
