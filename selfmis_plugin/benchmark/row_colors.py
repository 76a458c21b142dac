"""One colour a method, the same in every picture of a benchmark."""

from __future__ import annotations

import functools

from matplotlib import colormaps

from selfmis_plugin.methods import known_methods

__all__ = ["color_of"]

#: Twenty of them, neighbours far apart; methods of other packages come after, and share.
_COLORS = "tab20"
_STEP = 2


def color_of(method: str) -> tuple[float, float, float]:
    """Return the colour of a method by its name."""
    colors = colormaps[_COLORS].colors  # type: ignore[attr-defined]
    order = [*colors[::_STEP], *colors[1::_STEP]]
    place = _places().get(method, len(_places()))
    red, green, blue = order[place % len(order)]
    return red, green, blue


@functools.cache
def _places() -> dict[str, int]:
    return {name: place for place, name in enumerate(sorted(known_methods()))}
