"""Trainings through the host: registration, the entry of its processes, data, kept embeddings."""
