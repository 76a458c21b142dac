"""Many trainings through the host's own command line: run, resumed, and put into tables."""
