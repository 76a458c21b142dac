"""Modally reduced representations: every lead by itself, aligned and reconstructed
(Ibtehaz and Mortazavi, 2024)."""
