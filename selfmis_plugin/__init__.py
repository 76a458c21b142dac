"""SelfMIS for fairseq-signals and fairseq."""

__version__ = "0.1.0"
