"""Learning-rate schedules that the plugin registers."""
