"""The report's pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_TYPES, in_words
from selfmis_plugin.metrics.bootstrap import Estimate
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.roc import ROCBand, roc_band
from selfmis_plugin.metrics.statistics import Report
from selfmis_plugin.metrics.wilson import wilson_interval
from selfmis_plugin.visualization.embedding_map import places_of
from selfmis_plugin.visualization.figure import new_figure

_ORANGE, _BLUE, _PURPLE, _GREY = "#d94801", "#3182bd", "#6a3d9a", "#8c8c8c"
#: Panels beside each other; one on a narrow screen.
COLUMNS = 3
#: Inches: a panel, and what a narrow screen shows without making letters smaller.
_PANEL = (3.4, 3.3)
_NARROW = 3.4
#: Inches that a legend of four names beside each other takes.
_FOUR_NAMES = 5.0
#: Inches above the panels for their legend.
_LEGEND = 0.4
_TITLE = 10
#: Signs of a line: of a panel's title, and of a label beside its bar, wide and narrow.
_TITLE_SIGNS, _ROW_SIGNS, _NARROW_SIGNS = 37, 85, 29
#: More points than this only cover each other, and t-SNE takes longer than all the rest.
_MAP_RECORDS = 1000


def roc_bands(
    predictions: Predictions, report: Report, labels: Sequence[str]
) -> dict[str, ROCBand]:
    """Return the ROC curve with its 95 % band of each label, which some records have, not all."""
    patient, _ = predictions.patient_index()
    columns = {label: predictions.labels.index(label) for label in labels}
    return {
        label: roc_band(
            predictions.targets[:, column], predictions.logits[:, column], patient, report.draws
        )
        for label, column in columns.items()
    }


def draw_roc(bands: Mapping[str, ROCBand], report: Report, columns: int = COLUMNS) -> Figure:
    """Draw ROC curves with their bands, AUC and positives, a panel a label, beside chance and the
    upper bound."""
    figure, panels = _panels(list(bands), columns, _PANEL)
    for axes, (label, band) in zip(panels, bands.items(), strict=True):
        axes.plot([0, 1], [0, 1], ":", color=_GREY, linewidth=1.2, label="chance")
        axes.plot([0, 0, 1], [0, 1, 1], "--", color=_GREY, linewidth=1.2, label="upper bound")
        axes.fill_between(
            band.grid, band.low, band.high, color=_ORANGE, alpha=0.25, lw=0, label="95 % interval"
        )
        axes.plot(band.false_positive_rate, band.sensitivity, color=_ORANGE, label="this model")
        axes.text(
            0.97, 0.04, f"AUC {_interval(report.labels[label].auc)}", fontsize=8, ha="right",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        )  # fmt: skip
        axes.set(xlim=(-0.02, 1.01), ylim=(-0.01, 1.03), aspect="equal")
        _entitle(axes, in_words(label), _positives(report, label))
    _name_outer(panels, columns, "1 - specificity", "sensitivity")
    _one_legend(figure, panels[:1])
    if (layout := figure.get_layout_engine()) is not None:
        # Square panels need one more round: how much stands around them shows when they are square.
        layout.execute(figure)
    return figure


def draw_intervals(report: Report, labels: Sequence[str], short: bool = False) -> Figure:
    """Draw the AUC of each label with its interval: any infarction where it is one of them, the
    infarction types, best first, their mean, the other labels, and the mean of all; *short* for a
    narrow screen, without their words."""
    known = [label for label in labels if report.labels[label].auc.value is not None]
    known.sort(key=lambda label: -(report.labels[label].auc.value or 0.0))
    named: list[tuple[str, Estimate, str]] = []
    if ANY_INFARCTION in known:
        known.remove(ANY_INFARCTION)
        either = report.labels[ANY_INFARCTION].auc
        words = f"({report.labels[ANY_INFARCTION].positives})" if short else ""
        words = words or f" ({_positives(report, ANY_INFARCTION)})"
        named.append((f"{ANY_INFARCTION} {words}", either, _ORANGE))
    for chosen, text, mean in (
        (
            [label for label in known if label in INFARCTION_TYPES],
            "infarction types" if short else "mean of the infarction types",
            report.mi_auc,
        ),
        (
            [label for label in known if label not in INFARCTION_TYPES],
            "all" if short else "macro AUC: mean of all",
            report.macro_auc,
        ),
    ):
        for label in chosen:
            words = (
                f"{label} ({report.labels[label].positives})"
                if short
                else f"{in_words(label)}  ({_positives(report, label)})"
            )
            named.append((words, report.labels[label].auc, _ORANGE))
        if mean.estimate.value is not None:
            named.append((f"{text}  [{len(mean.labels)} labels]", mean.estimate, _BLUE))
    width, signs = (_NARROW, _NARROW_SIGNS) if short else (9.5, _ROW_SIGNS)
    names = [textwrap.fill(text, signs) for text, _, _ in named]
    most = max((name.count("\n") for name in names), default=0)
    row = max(0.24, 0.14 * (1 + most))
    figure = new_figure(width, 1.2 + row * max(4, len(named)), layout="constrained")
    axes = figure.add_subplot()
    for height, (_, auc, colour) in enumerate(named):
        axes.barh(height, auc.value or 0.0, color=colour, alpha=0.35)
        if auc.low is not None and auc.high is not None:
            axes.plot([auc.low, auc.high], [height, height], color=colour, linewidth=2)
        axes.plot([auc.value or 0.0], [height], "o", color=colour, markersize=4)
    lowest = min([auc.low for _, auc, _ in named if auc.low is not None], default=0.5)
    axes.set_yticks(range(len(named)), names, fontsize=8)
    axes.set_ylim(max(4, len(named)) - 0.4, -0.6)
    axes.axvline(0.5, color="black", linewidth=1, linestyle=":", label="chance")
    axes.axvline(1.0, color="black", linewidth=1, linestyle="--", label="upper bound")
    axes.set(
        xlim=(max(0.0, min(0.45, lowest - 0.02)), 1.01),
        xlabel="AUC with 95 % interval" + ("\n(positives)" if short else ""),
    )
    _one_legend(figure, [axes])
    return figure


def _positives(report: Report, label: str) -> str:
    positives = report.labels[label].positives
    return f"{positives} positive{'' if positives == 1 else 's'}"


def _interval(auc: Estimate) -> str:
    if auc.low is None or auc.high is None:
        return f"{auc.value:.2f}"
    return f"{auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f})"


def draw_calibration(report: Report, labels: Sequence[str], columns: int = COLUMNS) -> Figure:
    """Draw the observed share against the mean probability of each bin, a panel a label, with 95 %
    intervals of the shares (Wilson) beside probabilities that come true."""
    figure, panels = _panels(labels, columns, _PANEL)
    for axes, label in zip(panels, labels, strict=True):
        calibration = report.labels[label].calibration
        shares = list(zip(calibration.observed, calibration.records, strict=True))
        low, high = zip(
            *(wilson_interval(share, records) for share, records in shares), strict=True
        )
        right = max(*calibration.predicted, 0.02) * 1.05
        top = max(*high, right)
        axes.plot(
            [0, top],
            [0, top],
            ":",
            color=_GREY,
            linewidth=1.2,
            label="probabilities that come true",
        )
        axes.vlines(
            calibration.predicted, low, high, color=_BLUE, alpha=0.35, label="95 % interval"
        )
        axes.plot(
            calibration.predicted, calibration.observed, "o-", color=_BLUE, markersize=4,
            label="this model",
        )  # fmt: skip
        axes.set(xlim=(0, right), ylim=(0, top))
        _entitle(
            axes,
            in_words(label),
            f"{_positives(report, label)}, error {calibration.error:.3f}",
        )
    _name_outer(panels, columns, "mean probability", "share that has it")
    _one_legend(figure, panels[:1])
    return figure


def draw_retrieval(shares: Mapping[str, float], records: int) -> Figure:
    """Draw R@k, chance beside it; *shares* holds ``r1``, ``r5``, ... as shares of 1."""
    ranks = sorted(int(key[1:]) for key in shares if key[0] == "r" and key[1:].isdigit())
    ranks = [rank for rank in ranks if rank <= records]
    figure = new_figure(4.6, 3.4, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(ranks, [100 * shares[f"r{rank}"] for rank in ranks], "o-", color=_ORANGE)
    axes.plot(ranks, [100 * rank / records for rank in ranks], ":", color="black", label="chance")
    axes.axhline(100, color=_GREY, linewidth=1, linestyle="--", label="upper bound")
    axes.set(xscale="log", ylim=(0, 104), xlabel="k", ylabel="R@k, %")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(f"single lead to all leads, among {records:,}")
    axes.legend(fontsize=8)
    return figure


def places_of_pairs(
    single: npt.NDArray[np.float32], multi: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return where single-lead and all-lead embeddings of the same records are in one plane.

    Parameters
    ----------
    single, multi
        (records, values) each, of the same records.

    Returns
    -------
    tuple of numpy.ndarray
        The records shown, and the places of their single-lead, then their all-lead embeddings:
        (2, shown, 2), by t-SNE.
    """
    shown = np.arange(len(single))
    if len(single) > _MAP_RECORDS:
        shown = np.sort(np.random.default_rng(0).choice(len(single), _MAP_RECORDS, replace=False))
    both = np.concatenate([single[shown], multi[shown]]).astype(np.float64)
    # The loss compares directions, so the map does too.
    both /= np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-12)
    return shown, places_of(both).reshape(2, len(shown), 2)


def draw_map(
    places: npt.NDArray[np.float32], marked: npt.NDArray[np.bool_], columns: int = 2
) -> Figure:
    """Draw both embeddings of records in one plane: by encoder, and by what the records have.

    Parameters
    ----------
    places
        As :func:`places_of_pairs` gives them, (2, records, 2).
    marked
        bool, (records,): which of them have an infarction.
    columns
        Panels beside each other.
    """
    figure, (kinds, statements) = _panels(("", ""), columns, (4.5, 4.4) if columns > 1 else _PANEL)
    for half, colour, name in zip(
        places, (_ORANGE, _BLUE), ("single lead", "all leads"), strict=True
    ):
        kinds.plot(*half.T, ".", color=colour, markersize=3, alpha=0.6, label=name)
    flat = places.reshape(-1, 2)
    flags = np.concatenate([marked, marked])
    statements.plot(*flat[~flags].T, ".", color=_GREY, markersize=3, alpha=0.4, label="other")
    statements.plot(*flat[flags].T, ".", color=_PURPLE, markersize=4, label="infarction")
    for axes, title in ((kinds, "by encoder"), (statements, "by statement")):
        axes.legend(fontsize=8, markerscale=3)
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=_TITLE)
    return figure


def _panels(
    labels: Sequence[str], columns: int, size: tuple[float, float]
) -> tuple[Figure, list[Axes]]:
    """An empty figure of a panel a label, *size* inches each, in rows of *columns*."""
    across = min(columns, max(1, len(labels)))
    down = -(-len(labels) // across)
    width, height = size
    figure = new_figure(width * across, height * down + _LEGEND, layout="constrained")
    return figure, [figure.add_subplot(down, across, k + 1) for k in range(len(labels))]


def _name_outer(panels: Sequence[Axes], columns: int, across: str, up: str) -> None:
    """Name the axes of panels that have none below or left of them."""
    across_panels = min(columns, len(panels))
    for position, axes in enumerate(panels):
        if position % across_panels == 0:
            axes.set_ylabel(up)
        if position >= len(panels) - across_panels:
            axes.set_xlabel(across)


def _entitle(axes: Axes, name: str, about: str) -> None:
    """Name a panel, in as many lines as a long name takes, with a line about it."""
    axes.set_title(f"{textwrap.fill(name, _TITLE_SIGNS)}\n{about}", fontsize=_TITLE)


def _one_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, whose lines are the same."""
    for axes in panels:
        handles, names = axes.get_legend_handles_labels()
        figure.legend(
            handles,
            names,
            loc="outside upper left",
            ncols=4 if figure.get_figwidth() >= _FOUR_NAMES else 2,
            fontsize=8,
        )
