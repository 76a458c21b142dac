"""What each method's pre-training takes beside what its linear probe reaches."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from selfmis_plugin.benchmark.picture_parts import BOUND, draw_bound, draw_chance, whose
from selfmis_plugin.benchmark.row_colors import color_of
from selfmis_plugin.benchmark.tables import Measured, spread
from selfmis_plugin.methods.method import PROBE, Method, owners_first
from selfmis_plugin.utils import markdown
from selfmis_plugin.visualization.figure import new_figure

__all__ = ["CostPoint", "cost_points", "cost_table", "draw_costs"]

_MIB = 2**20


@dataclass(frozen=True)
class CostPoint:
    """One method: the AUC of its probe and the cost of its pre-training.

    Attributes
    ----------
    title, method
        The method, in the tables and by its name; both the stage's where it is no method's own.
    stage
        Name of its pre-training.
    auc, low, high
        Mean AUC of the nine types with its 95 % interval, means over seeds; None without a probe.
    records
        Records that the pre-training has read, those of all epochs together.
    milliseconds
        Its wall clock for each of them, everything in it: start, reading, embeddings that are kept.
    peak_mib
        The most memory that its process held, MiB; None where the system does not tell.
    kept_mib
        MiB that its forward pass keeps for backward for each ECG of a batch, counted.
    parameters, trained_parameters
        Of its model.
    gmac
        Billions of multiply-accumulates of the model's forward pass of one ECG.
    """

    title: str
    method: str
    stage: str
    auc: float | None
    low: float | None
    high: float | None
    records: int
    milliseconds: float
    peak_mib: float | None
    kept_mib: float | None
    parameters: int | None
    trained_parameters: int | None
    gmac: float | None


def cost_points(measured: Measured, report: Mapping[str, Any]) -> list[CostPoint]:
    """Return every pre-training that was run here, those of methods first and in their order.

    Others, which methods start from, have no probe of their own.
    """
    methods: dict[str, Method] = {}
    for method in owners_first(measured.methods):
        if method.encoder is not None:
            methods.setdefault(method.encoder.name, method)
    seen: dict[str, list[Mapping[str, Any]]] = {name: [] for name in methods}
    for stage in measured.stages:
        if stage.get("records_seen"):
            seen.setdefault(stage["stage"], []).append(stage)
    points = []
    for name, stages in seen.items():
        if not stages:
            continue
        cost = report.get("costs", {}).get(name, {})
        own = methods.get(name)
        peaks = [stage["peak_memory"] for stage in stages if stage.get("peak_memory")]
        points.append(
            CostPoint(
                own.title if own else name,
                own.name if own else name,
                name,
                *(_auc(measured, own.name) if own else (None, None, None)),
                records=stages[0]["records_seen"],
                milliseconds=statistics.mean(
                    1000 * stage["seconds"] / stage["records_seen"] for stage in stages
                ),
                peak_mib=max(peaks) / _MIB if peaks else None,
                kept_mib=cost.get("kept_mib"),
                parameters=cost.get("parameters"),
                trained_parameters=cost.get("trained_parameters"),
                gmac=cost.get("gmac"),
            )
        )
    return points


def _auc(measured: Measured, method: str) -> tuple[float | None, float | None, float | None]:
    fraction = measured.fractions[-1] if measured.fractions else 1.0
    cells = measured.chosen(method, PROBE, fraction)
    intervals = [cell["record"]["mi_auc"] for cell in cells]
    columns = (
        [cell["mi_auc"] for cell in cells],
        [interval["low"] for interval in intervals],
        [interval["high"] for interval in intervals],
    )
    if not cells or any(value is None for column in columns for value in column):
        return None, None, None
    auc, low, high = (statistics.mean(column) for column in columns)
    return auc, low, high


def cost_table(measured: Measured, report: Mapping[str, Any]) -> str:
    """Return AUC and cost by method; empty where nothing was pre-trained."""
    points = cost_points(measured, report)
    if not points:
        return ""
    header = [
        *("Method", "probe's AUC (95 % interval)", "ECGs read", "ms per ECG", "peak memory"),
        *("kept per ECG", "parameters (trained)", "GMac"),
    ]
    rows = [
        [
            point.title,
            _shown_auc(point),
            f"{point.records:,}",
            f"{point.milliseconds:.2f}",
            _mib(point.peak_mib, 0),
            _mib(point.kept_mib, 2),
            "-"
            if point.parameters is None
            else f"{point.parameters:,} ({point.trained_parameters:,})",
            "-" if point.gmac is None else f"{point.gmac:.3f}",
        ]
        for point in points
    ]
    titles = {point.stage: point.title for point in points}
    sources = {
        method.title: [
            titles.get(source.name, source.name) for source in method.encoder.starts_from.values()
        ]
        for method in measured.methods
        if method.encoder is not None and method.encoder.name in titles
    }
    notes = [
        "All probes have one head, one schedule and one early stopping, on lead I. ECGs read: "
        "records of 10 s, those of all epochs together. ms per ECG: wall clock of the pre-training "
        "over these, with its start, reading, and the frozen embeddings that it computes once. "
        "Peak memory: of its process, Python and libraries included, and the pages of a store that "
        "it has read, which the system takes back when it needs them. Kept per ECG: counted, what "
        "a forward pass keeps for backward. GMac: forward pass of the model, for SelfMIS of both "
        "encoders."
    ]
    shares: dict[int, list[str]] = {}
    for point in points:
        shares.setdefault(point.records, []).append(point.title)
    notes += [
        f"Equal budgets: {', '.join(titles)} have each read {records:,} ECGs."
        for records, titles in shares.items()
        if len(titles) > 1
    ]
    notes += [
        f"{title} starts from {' and '.join(names)}, whose cost is not in its own row."
        for title, names in sources.items()
        if names
    ]
    return markdown.table(header, rows) + "\n\n" + "\n".join(notes)


def draw_costs(
    points: Sequence[CostPoint], measured: Measured, report: Mapping[str, Any]
) -> Figure:
    """Draw AUC with its interval against time, memory and operations for each ECG."""
    panels = (
        ("milliseconds", "ms of pre-training per ECG"),
        ("kept_mib", "MiB kept per ECG of a batch"),
        ("gmac", "GMac per ECG, forward"),
    )
    bound = spread(cell["mi_auc"] for cell in measured.best_trained(BOUND, PROBE))
    figure = new_figure(13, 4.8, layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    for panel, (key, label) in zip(axes, panels, strict=True):
        for number, point in enumerate(points):
            x = getattr(point, key)
            if x is None or point.auc is None or point.low is None or point.high is None:
                continue
            error = [[100 * (point.auc - point.low)], [100 * (point.high - point.auc)]]
            panel.errorbar(
                x, 100 * point.auc, error, fmt="os^vDPX"[number % 7],
                color=color_of(point.method), capsize=3, label=point.title,
            )  # fmt: skip
        draw_bound(panel, [bound and 100 * bound[0]])
        draw_chance(panel)
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel(label)
        panel.grid(alpha=0.4)
    axes[0].set_ylabel("AUC in % of the linear probe,\nmean of the nine infarction types")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle(f"{whose(report)}: AUC and what pre-training takes", fontsize=11)
    return figure


def _shown_auc(point: CostPoint) -> str:
    if point.auc is None or point.low is None or point.high is None:
        return "-"
    return f"{100 * point.auc:.2f} ({100 * point.low:.2f} to {100 * point.high:.2f})"


def _mib(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f} MiB"
