"""Recordings of minutes to hours, of a wearable and a reference at once, cut to windows."""
