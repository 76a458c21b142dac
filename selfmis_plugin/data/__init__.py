"""Prepared records: leads, filters, labels, splits, and the store that holds them."""
