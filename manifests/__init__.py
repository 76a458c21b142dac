"""Scripts that turn a database of WFDB records into a store."""
