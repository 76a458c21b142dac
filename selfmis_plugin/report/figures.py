"""The report's pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from selfmis_plugin.data.labels import INFARCTION_TYPES, in_words
from selfmis_plugin.metrics.bootstrap import Estimate
from selfmis_plugin.metrics.predictions import Predictions
from selfmis_plugin.metrics.roc import roc_band
from selfmis_plugin.metrics.statistics import Report
from selfmis_plugin.visualization.embedding_map import places_of
from selfmis_plugin.visualization.figure import new_figure

_ORANGE, _BLUE, _GREY = "#d94801", "#3182bd", "#8c8c8c"
#: More points than this only cover each other, and t-SNE takes longer than all the rest.
_MAP_RECORDS = 1000


def draw_roc(predictions: Predictions, report: Report, labels: Sequence[str]) -> Figure:
    """Draw the ROC curve of each label with its 95 % band, AUC and positives, a panel a label."""
    patient, _ = predictions.patient_index()
    columns = min(3, max(1, len(labels)))
    rows = -(-len(labels) // columns)
    figure = new_figure(3.4 * columns, 3.2 * max(1, rows), layout="constrained")
    for position, label in enumerate(labels):
        axes = figure.add_subplot(rows, columns, position + 1, aspect="equal")
        column = predictions.labels.index(label)
        target = predictions.targets[:, column]
        axes.plot([0, 1], [0, 1], ":", color=_GREY, linewidth=1)
        if target.any() and not target.all():
            band = roc_band(target, predictions.logits[:, column], patient, report.draws)
            axes.fill_between(band.grid, band.low, band.high, color=_ORANGE, alpha=0.25, lw=0)
            axes.plot(band.false_positive_rate, band.sensitivity, color=_ORANGE)
            axes.text(
                0.97, 0.03, f"AUC {_interval(report.labels[label].auc)}", fontsize=8, ha="right"
            )
        else:
            axes.text(0.5, 0.5, "undefined", ha="center", color=_GREY)
        axes.set(xlim=(0, 1), ylim=(0, 1.005), title=f"{label} ({_positives(report, label)})")
        if position % columns == 0:
            axes.set_ylabel("sensitivity")
        if position >= len(labels) - columns:
            axes.set_xlabel("1 - specificity")
    return figure


def draw_intervals(report: Report, labels: Sequence[str]) -> Figure:
    """Draw the AUC of each label with its interval: the infarction types, best first, their mean,
    the other labels, and the mean of all."""
    known = [label for label in labels if report.labels[label].auc.value is not None]
    known.sort(key=lambda label: -(report.labels[label].auc.value or 0.0))
    named: list[tuple[str, Estimate, str]] = []
    for chosen, text, mean in (
        (
            [label for label in known if label in INFARCTION_TYPES],
            "mean of the infarction types",
            report.mi_auc,
        ),
        (
            [label for label in known if label not in INFARCTION_TYPES],
            "macro AUC: mean of all",
            report.macro_auc,
        ),
    ):
        named += [
            (f"{in_words(label)}  ({_positives(report, label)})", report.labels[label].auc, _ORANGE)
            for label in chosen
        ]
        if mean.estimate.value is not None:
            named.append((f"{text}  [{len(mean.labels)} labels]", mean.estimate, _BLUE))
    figure = new_figure(8.5, 0.8 + 0.24 * max(4, len(named)), layout="constrained")
    axes = figure.add_subplot()
    for height, (_, auc, colour) in enumerate(named):
        axes.barh(height, auc.value or 0.0, color=colour, alpha=0.35)
        if auc.low is not None and auc.high is not None:
            axes.plot([auc.low, auc.high], [height, height], color=colour, linewidth=2)
        axes.plot([auc.value or 0.0], [height], "o", color=colour, markersize=4)
    lowest = min([auc.low for _, auc, _ in named if auc.low is not None], default=0.5)
    axes.set_yticks(range(len(named)), [text for text, _, _ in named], fontsize=8)
    axes.set_ylim(max(4, len(named)) - 0.4, -0.6)
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set(
        xlim=(max(0.0, min(0.45, lowest - 0.02)), 1.0),
        xlabel="AUC with 95 % interval; dotted: chance; right edge: every record ranked rightly",
    )
    return figure


def _positives(report: Report, label: str) -> str:
    positives = report.labels[label].positives
    return f"{positives} positive{'' if positives == 1 else 's'}"


def _interval(auc: Estimate) -> str:
    if auc.low is None or auc.high is None:
        return f"{auc.value:.2f}"
    return f"{auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f})"


def draw_calibration(report: Report, labels: Sequence[str]) -> Figure:
    """Draw observed share against mean probability in each bin, a panel a label."""
    columns = min(3, max(1, len(labels)))
    rows = -(-len(labels) // columns)
    figure = new_figure(3.4 * columns, 3.0 * max(1, rows), layout="constrained")
    for position, label in enumerate(labels):
        axes = figure.add_subplot(rows, columns, position + 1)
        calibration = report.labels[label].calibration
        top = max(*calibration.predicted, *calibration.observed, 0.02) * 1.05
        axes.plot([0, top], [0, top], ":", color=_GREY, linewidth=1)
        axes.plot(calibration.predicted, calibration.observed, "o-", color=_BLUE, markersize=4)
        axes.set(xlim=(0, top), ylim=(0, top), title=f"{label} (error {calibration.error:.3f})")
        if position % columns == 0:
            axes.set_ylabel("observed share")
        if position >= len(labels) - columns:
            axes.set_xlabel("mean probability")
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


def draw_map(
    single: npt.NDArray[np.float32], multi: npt.NDArray[np.float32], marked: npt.NDArray[np.bool_]
) -> Figure:
    """Draw single-lead and multi-lead embeddings of the same records in one plane, by t-SNE.

    Parameters
    ----------
    single, multi
        (records, embedding) each, of the same records.
    marked
        bool, (records,): the records to colour, such as those with an infarction.
    """
    chosen = np.arange(len(single))
    if len(single) > _MAP_RECORDS:
        chosen = np.sort(np.random.default_rng(0).choice(len(single), _MAP_RECORDS, replace=False))
    both = np.concatenate([single[chosen], multi[chosen]]).astype(np.float64)
    # The loss compares directions, so the map does too.
    both /= np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-12)
    places = places_of(both)
    figure = new_figure(9.0, 4.4, layout="constrained")
    halves = places[: len(chosen)], places[len(chosen) :]
    axes = figure.add_subplot(1, 2, 1)
    for half, colour, name in zip(
        halves, (_ORANGE, _BLUE), ("single lead", "all leads"), strict=True
    ):
        axes.plot(*half.T, ".", color=colour, markersize=3, alpha=0.6, label=name)
    axes.legend(fontsize=8, markerscale=3)
    axes.set(xticks=[], yticks=[], title="by encoder")
    axes = figure.add_subplot(1, 2, 2)
    flags = np.concatenate([marked[chosen], marked[chosen]])
    axes.plot(*places[~flags].T, ".", color=_GREY, markersize=3, alpha=0.4, label="other")
    axes.plot(*places[flags].T, ".", color=_ORANGE, markersize=4, label="infarction")
    axes.legend(fontsize=8, markerscale=3)
    axes.set(xticks=[], yticks=[], title="by statement")
    return figure
