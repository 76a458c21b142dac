"""The demo of modally reduced representations."""

from __future__ import annotations

from selfmis_plugin.demo.demo import Demo

DEMO = Demo(
    "modally-reduced",
    "every lead's embedding: correlation, twelve leads from one, infarction, identification",
    "selfmis_plugin.demo.modally_reduced",
)
