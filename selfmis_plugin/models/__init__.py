"""Models that the plugin registers."""
