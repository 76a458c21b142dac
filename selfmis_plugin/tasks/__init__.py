"""Tasks that the plugin registers, and what they share."""
