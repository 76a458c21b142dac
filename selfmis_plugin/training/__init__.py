"""Trainings through the host: registration, the entry of its processes, data, kept embeddings."""

from selfmis_plugin._moved import names_of

__getattr__ = names_of(__name__)
