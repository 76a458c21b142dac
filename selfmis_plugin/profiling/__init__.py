"""Speed, memory and methods, measured against a reference in the same run."""
