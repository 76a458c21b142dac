"""SelfMIS: one lead is placed where a frozen multi-lead encoder places the whole record."""

from selfmis_plugin._moved import names_of

__getattr__ = names_of(__name__)
