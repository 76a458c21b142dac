"""Checkpoints of students: classifiers like any other."""

from __future__ import annotations

from selfmis_plugin.probe import reader

__all__ = ["ENCODERS", "READERS"]

MODEL = "distillation"

READERS = {MODEL: reader.READERS[reader.MODEL]}
ENCODERS = {MODEL: reader.ENCODERS[reader.MODEL]}
