"""Networks over stores."""
