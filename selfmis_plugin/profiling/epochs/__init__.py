"""A pre-training from files to its loss, as people write it themselves and as this plugin does."""
