"""Modally reduced representations: every lead by itself, aligned and reconstructed
(Ibtehaz and Mortazavi, 2024)."""

from selfmis_plugin._moved import names_of

__getattr__ = names_of(__name__)
