"""The demo of SelfMIS."""

from __future__ import annotations

from selfmis_plugin.demo.demo import Demo

DEMO = Demo("selfmis", "single-lead infarction detection by alignment", "selfmis_plugin.demo.run")
