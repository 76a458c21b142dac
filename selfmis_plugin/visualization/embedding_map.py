"""Several sets of embeddings in one plane."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from selfmis_plugin.visualization.figure import new_figure

__all__ = ["draw_embedding_map", "places_of"]

_REAL = "#1a1a1a"
#: Points of a set: more only cover each other, and t-SNE takes longer than all the rest.
_POINTS = 400
_COLUMNS = 3


def places_of(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return places in a plane, (records, 2), by t-SNE of embeddings, (records, values)."""
    perplexity = min(30.0, (len(rows) - 1) / 3)
    places: npt.NDArray[np.float32] = TSNE(
        perplexity=perplexity, init="pca", random_state=0
    ).fit_transform(rows.astype(np.float64))
    return places


def draw_embedding_map(
    real: npt.NDArray[np.float32],
    made: Mapping[str, npt.NDArray[np.float32]],
    notes: Mapping[str, str],
    title: str,
) -> Figure:
    """Draw real records and what was made of each, a panel a way of making them.

    All lie in one plane, by t-SNE of all sets together.

    Parameters
    ----------
    real
        Embeddings of the real records, (records, values).
    made
        Embeddings of what was made of the same records, by how.
    notes
        A line below each name.
    title
        Above all.
    """
    chosen = np.arange(len(real))
    if len(real) > _POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(len(real), _POINTS, replace=False))
    sets = [real[chosen], *(rows[chosen] for rows in made.values())]
    parts = places_of(np.concatenate(sets)).reshape(len(sets), len(chosen), 2)
    columns = min(_COLUMNS, len(made))
    rows = -(-len(made) // columns)
    figure = new_figure(3.6 * columns, 3.8 * rows + 0.5, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, name, places, colour in zip(
        panels, made, parts[1:], (f"C{number % 10}" for number in range(len(made))), strict=False
    ):
        axes.plot(*parts[0].T, ".", color=_REAL, markersize=3, alpha=0.5, label="real")
        axes.plot(*places.T, ".", color=colour, markersize=3, alpha=0.7, label="made")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{name}\n{notes[name]}", fontsize=9)
        axes.legend(fontsize=7, markerscale=3)
    for axes in panels[len(made) :]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=11)
    return figure
