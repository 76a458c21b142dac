"""Trainings as their configs describe them; a package of its own, since it imports the toolkit."""
