"""What everything else may use: whole files, paths, messages, readers of arguments."""
