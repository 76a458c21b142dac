"""Encoders that were trained on labels: ECGFounder's, or stand-ins trained on an archive."""

from selfmis_plugin._moved import names_of
from selfmis_plugin.methods.supervised.rows import MULTI_LEAD, SINGLE_LEAD

__all__ = ["MULTI_LEAD", "SINGLE_LEAD"]

__getattr__ = names_of(__name__)
