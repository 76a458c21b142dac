"""WFDB records: headers, a reader of any record, and a fast one of the usual kind."""
