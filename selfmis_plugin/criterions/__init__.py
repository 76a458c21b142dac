"""Criteria that the plugin registers."""
