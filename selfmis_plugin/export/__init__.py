"""From a trained classifier to a folder to keep, upload or put on a device."""
