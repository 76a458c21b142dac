"""Masked stretches: lead I with a stretch taken out, from which a small network makes it again."""
