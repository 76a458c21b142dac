"""Units of voltage."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MICROVOLTS"]

#: Microvolts in one unit of a recording, by the unit's name in lower case.
MICROVOLTS: Mapping[str, float] = {"uv": 1.0, "mv": 1e3, "v": 1e6}
