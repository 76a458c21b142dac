"""The version, where everything can ask for it; a release drops the ending ``.dev0``."""

__version__ = "0.2.0.dev0"
