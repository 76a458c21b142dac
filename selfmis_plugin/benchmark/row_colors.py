"""One colour a method, the same in every picture, and no two installed methods with one."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import numpy.typing as npt

from selfmis_plugin.methods import known_methods
from selfmis_plugin.utils import plugins

__all__ = ["color_of"]

#: Levels of red, green and blue that colours are made of.
_LEVELS = np.linspace(0, 1, 13)
#: How light they are (0 black, 1 white): all are seen on white, and none passes for text.
_LIGHTNESS = (0.4, 0.82)
#: Colours that are kept for methods of a user's file, which are not known beforehand.
_SPARE = 16


def color_of(method: str) -> tuple[float, float, float]:
    """Return the colour of a method by its name: red, green and blue, 0 to 1."""
    places = _places()
    colors = _colors(len(places) + _SPARE)
    if (place := places.get(method)) is None:
        # By its name, as nothing else of it is the same in every picture.
        place = len(places) + sum(method.encode()) % _SPARE
    return colors[place]


@functools.cache
def _places() -> dict[str, int]:
    """The rows that are always there come first: the first colours are farthest apart.

    What other packages add changes no colour of what is here.
    """
    here = {
        method.name
        for module in plugins.modules("rows")
        if module.__name__.startswith("selfmis_plugin.")
        for method in getattr(module, "METHODS", ())
    }
    order = sorted(
        known_methods().values(),
        key=lambda one: (one.name not in here, one.by_name, one.generates, one.name),
    )
    return {method.name: place for place, method in enumerate(order)}


@functools.cache
def _colors(count: int) -> tuple[tuple[float, float, float], ...]:
    """Colours of which each is as far from white, black and all before it as can be."""
    candidates = np.array(list(itertools.product(_LEVELS, repeat=3)))
    places = _oklab(candidates)
    seen = (places[:, 0] > _LIGHTNESS[0]) & (places[:, 0] < _LIGHTNESS[1])
    candidates, places = candidates[seen], places[seen]
    taken = _oklab(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    distance = np.linalg.norm(places[:, None] - taken, axis=2).min(axis=1)
    colors = []
    for _ in range(count):
        farthest = int(np.argmax(distance))
        red, green, blue = candidates[farthest].tolist()
        colors.append((red, green, blue))
        distance = np.minimum(distance, np.linalg.norm(places - places[farthest], axis=1))
    return tuple(colors)


def _oklab(colors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where sRGB colours, (colours, 3), lie in Oklab, whose distances are those that eyes see.

    Source: B. Ottosson, A perceptual color space for image processing, 2020.
    """
    linear = np.where(colors > 0.04045, ((colors + 0.055) / 1.055) ** 2.4, colors / 12.92)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )
