"""Tables 1, 2, 3 and 5 of the paper from measured cells, the paper's figures beside them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from selfmis_plugin.benchmark.paper import (
    DATA,
    PMI_PATIENTS,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_5,
)
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.methods.method import PROBE, ZERO_SHOT, Claim, Method, Mode
from selfmis_plugin.metrics.intervals import auc_limits
from selfmis_plugin.metrics.statistics import FEW_PATIENTS
from selfmis_plugin.utils import markdown

#: Mean and standard deviation over seeds, the deviation None for one seed.
Spread = tuple[float, float | None]


class Measured:
    """Figures of a benchmark, by method, mode and fraction, over seeds.

    Parameters
    ----------
    report
        What :func:`~selfmis_plugin.benchmark.infarction.run_infarction` returned.
    methods
        Its methods, in the order of the rows.
    claims
        What is put to the test by it.
    """

    def __init__(
        self,
        report: Mapping[str, Any],
        methods: Sequence[Method],
        claims: Sequence[Claim] = (),
    ) -> None:
        self.methods = list(methods)
        self.claims = list(claims)
        self.cells: list[dict[str, Any]] = report["cells"]
        self.stages: list[dict[str, Any]] = report["stages"]
        # Where nothing is trained the fraction is 0; it is none to compare the others by.
        self.fractions = sorted({cell["fraction"] for cell in self.cells} - {0.0}) or [0.0]
        self.lacking: Mapping[str, str] = report.get("lacking", {})
        self.modes = list(dict.fromkeys(cell["mode"] for cell in self.cells))
        labelled = report["data"]["labelled"]
        self.data = f"{labelled['database']}, {labelled['records'].get('train', 0):,} labelled"

    def chosen(self, method: str, mode: str, fraction: float) -> list[dict[str, Any]]:
        """Return the cells of all seeds."""
        wanted = (method, mode, fraction)
        return [c for c in self.cells if (c["method"], c["mode"], c["fraction"]) == wanted]

    def best_trained(self, method: str, mode: str) -> list[dict[str, Any]]:
        """Return the cells of all seeds at the largest fraction, or of a mode without training."""
        return self.chosen(method, mode, self.fractions[-1]) or self.chosen(method, mode, 0.0)

    def types(self, method: str, mode: str, fraction: float) -> list[Spread | None]:
        """Return the AUC of each infarction type, then of their mean; None where undefined."""
        cells = self.chosen(method, mode, fraction)
        columns = [[cell["per_label"].get(name) for cell in cells] for name in INFARCTION_TYPES]
        columns.append([cell["mi_auc"] for cell in cells])
        return [spread(column) for column in columns]

    def difference(self, first: Mode, second: Mode, fraction: float) -> list[float]:
        """Return the mean AUC of the first minus the second's by seed."""
        sides = [
            {cell["seed"]: cell["mi_auc"] for cell in self.chosen(side.method, side.mode, fraction)}
            for side in (first, second)
        ]
        shared = sorted(sides[0].keys() & sides[1].keys())
        pairs = [(sides[0][seed], sides[1][seed]) for seed in shared]
        return [one - other for one, other in pairs if one is not None and other is not None]


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return mean and standard deviation of what is defined."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return statistics.mean(known), statistics.stdev(known) if len(known) > 1 else None


def covered_types(cells: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the infarction types of which every one of *cells* has a figure."""
    return tuple(
        name
        for name in INFARCTION_TYPES
        if cells and all(cell["per_label"].get(name) is not None for cell in cells)
    )


def table_1(measured: Measured, mode: str = PROBE) -> str:
    """Return the nine types and their mean by method, at the largest fraction.

    A type of few positive patients has its 95 % interval beside the AUC (mean over seeds), and so
    has the paper's PMI, made of its two. A method that the host lacks has a row too, which names
    what it needs. Those that make leads are in :func:`table_2`.
    """
    methods = [method for method in measured.methods if not method.generates]
    return _types_by_method(measured, methods, mode, TABLE_1 if mode == PROBE else {})


def table_2(measured: Measured, mode: str) -> str:
    """Return the nine types of the methods that make leads for a classifier of twelve; below them
    SelfMIS and the real twelve leads, where they were measured.

    The paper's table is called one of linear probing, and its text says that the classifier was
    fine-tuned: its figures stand beside both.
    """
    judges = {
        source.method
        for method in measured.methods
        if method.generates and mode in method.modes
        for source in method.modes[mode].sources().values()
        if isinstance(source, Mode)
    }
    methods = [method for method in measured.methods if method.generates]
    methods += [m for m in measured.methods if m.subject or m.name in judges]
    return _types_by_method(measured, methods, mode, TABLE_2)


def _types_by_method(
    measured: Measured,
    methods: Sequence[Method],
    mode: str,
    paper: Mapping[str, tuple[float, ...]],
) -> str:
    fraction = measured.fractions[-1] if measured.fractions else 1.0
    rows = [
        (method, measured.types(method.name, mode, fraction))
        for method in methods
        if measured.chosen(method.name, mode, fraction) or method.name in measured.lacking
    ]
    marks = [_ranks([values[column] for _, values in rows]) for column in range(10)]
    lines: list[list[str]] = []
    for index, (method, values) in enumerate(rows):
        chosen = measured.chosen(method.name, mode, fraction)
        cells = [
            _mark(_percent(value, with_spread=column == 9), marks[column][index])
            + (_of_few(chosen, INFARCTION_TYPES[column]) if column < 9 else "")
            for column, value in enumerate(values)
        ]
        lines.append([method.title, *cells, measured.lacking.get(method.name, measured.data)])
        if method.paper is not None and method.paper in paper:
            lines.append(["", *_papers_row(paper[method.paper]), DATA])
    chosen = [cell for method, _ in rows for cell in measured.chosen(method.name, mode, fraction)]
    if chosen:
        counts = [str(chosen[0]["positives"].get(name, 0)) for name in INFARCTION_TYPES]
        lines.append(["positives in the test split", *counts, "", ""])
    return markdown.table(["Method", *INFARCTION_TYPES, "Avg", "measured on"], lines)


def _of_few(cells: Sequence[Mapping[str, Any]], name: str) -> str:
    """Return the interval of a type that has few positive patients, else nothing."""
    found = [cell["record"]["labels"][name] for cell in cells
             if name in cell.get("record", {}).get("labels", {})]  # fmt: skip
    if not found or any(
        own["positive_patients"] >= FEW_PATIENTS or own["auc"]["low"] is None for own in found
    ):
        return ""
    low, high = (statistics.mean(own["auc"][side] for own in found) for side in ("low", "high"))
    return _whole_percents(low, high)


def _papers_row(values: Sequence[float]) -> list[str]:
    cells = [_plain(value) for value in values]
    column = INFARCTION_TYPES.index("PMI")
    positives, negatives = (np.array([float(number)]) for number in PMI_PATIENTS)
    # The paper's scores are not known: Newcombe's variance as it stands.
    low, high = auc_limits(np.array([values[column] / 100]), positives, negatives, np.ones(1))
    cells[column] += _whole_percents(low[0], high[0])
    return cells


def _whole_percents(low: float, high: float) -> str:
    return f" ({100 * low:.0f} to {100 * high:.0f})"


def methods_of_table_3(measured: Measured) -> list[Method]:
    """Return the methods that are compared on fractions, those first that others are compared
    with."""
    of_paper = {name for name, _ in TABLE_3}
    others = [
        method
        for method in measured.methods
        if not method.reference and (method.subject or method.paper in of_paper)
    ]
    return [*(method for method in measured.methods if method.reference), *others]


def table_3(measured: Measured, mode: str = PROBE) -> str:
    """Return the nine types by fraction of the labels and method, and the gain over the first."""
    methods = methods_of_table_3(measured)
    pairs = [(fraction, method) for fraction in measured.fractions for method in methods]
    columns = [measured.types(method.name, mode, fraction) for fraction, method in pairs]
    header = [f"{100 * fraction:g} % {method.title}" for fraction, method in pairs]
    lines: list[list[str]] = []
    for row, name in enumerate((*INFARCTION_TYPES, "Avg")):
        cells = [_percent(column[row], with_spread=name == "Avg") for column in columns]
        best = [
            _mark(cell, int(rank == 1))
            for fraction in measured.fractions
            for cell, rank in _of_fraction(pairs, fraction, cells, columns, row)
        ]
        lines.append([name, *best, measured.data])
    paper = [TABLE_3.get((method.paper or "", fraction)) for fraction, method in pairs]
    if any(paper):
        cells = ["-" if figures is None else _plain(figures[-1]) for figures in paper]
        lines.append(["Avg", *cells, DATA])
    for method in methods[1:]:
        gains = []
        for fraction, other in pairs:
            shown = "-"
            if other is method:
                first = Mode(methods[0].name, mode)
                shown = _signed(measured.difference(Mode(method.name, mode), first, fraction))
            gains.append(shown)
        lines.append([f"{method.title} minus {methods[0].title}", *gains, measured.data])
    return markdown.table(["AUC", *header, "measured on"], lines)


def table_5(measured: Measured) -> str:
    """Return retrieval, loss and mean AUC of a method without its parts.

    A pre-training that embeds no pairs has no retrieval.
    """
    fraction = measured.fractions[-1]
    header = ["Ablation", "R@1", "R@5", "R@10", "Loss", "Avg AUC", "measured on"]
    lines: list[list[str]] = []
    for method in measured.methods:
        if method.ablation is None or not measured.chosen(method.name, method.ablation, fraction):
            continue
        auc = measured.types(method.name, method.ablation, fraction)[-1]
        stages = [
            stage
            for stage in measured.stages
            if method.encoder is not None and stage["stage"] == method.encoder.name
        ]
        retrievals = [stage["retrieval"] for stage in stages if stage.get("retrieval")]
        ranks = [
            _percent(spread(found[key] for found in retrievals), with_spread=True)
            for key in ("r1", "r5", "r10")
        ]
        loss = spread(stage.get("valid_loss") for stage in stages)
        shown = "-" if loss is None else f"{loss[0]:.4f}"
        lines.append([method.title, *ranks, shown, _percent(auc, with_spread=True), measured.data])
        if method.paper is not None and method.paper in TABLE_5:
            figures = TABLE_5[method.paper]
            cells = ["-" if f is None else f"{f:.4f}" if k == 3 else _plain(f)
                     for k, f in enumerate(figures)]  # fmt: skip
            lines.append(["", *cells, DATA])
    return markdown.table(header, lines)


def table_of_modes(measured: Measured) -> str:
    """Return the mean over the types by method and by how it was judged.

    A mean over fewer types than others says so: it cannot be compared with them.
    """
    lines: list[list[str]] = []
    most = max((len(covered_types([cell])) for cell in measured.cells), default=0)
    for method in measured.methods:
        cells = []
        for mode in measured.modes:
            chosen = measured.best_trained(method.name, mode)
            types = len(covered_types(chosen))
            fewer = f" (of {types} types only)" if chosen and types < most else ""
            cells.append(_percent(spread(cell["mi_auc"] for cell in chosen), True) + fewer)
        if set(cells) != {"-"}:
            lines.append([method.title, *cells, measured.data])
    return markdown.table(["Method", *measured.modes, "measured on"], lines)


def tables_of_zero_shot(measured: Measured) -> list[str]:
    """Return what encoders' own heads reach on the types that they name, a table a set of types.

    Below each set stand the linear probes' figures on the same types, which are what its mean can
    be compared with.
    """
    sets: dict[tuple[str, ...], list[Method]] = {}
    for method in measured.methods:
        if types := covered_types(measured.best_trained(method.name, ZERO_SHOT)):
            sets.setdefault(types, []).append(method)
    tables = []
    for types, own in sets.items():
        rest = [name for name in INFARCTION_TYPES if name not in types]
        rows = [(method, ZERO_SHOT) for method in own]
        rows += [(m, PROBE) for m in measured.methods if measured.best_trained(m.name, PROBE)]
        header = ["Method", "labels", *types, f"Avg of these {len(types)}", "measured on"]
        lines: list[list[str]] = []
        for method, mode in rows:
            cells = measured.best_trained(method.name, mode)
            columns = [[cell["per_label"].get(name) for cell in cells] for name in types]
            of_seeds = [_mean_of_known(values) for values in zip(*columns, strict=True)]
            shown = [_percent(spread(values)) for values in columns]
            labels = "none" if mode == ZERO_SHOT else f"{100 * cells[0]['fraction']:g} %, {mode}"
            mean = _percent(spread(of_seeds), True)
            lines.append([method.title, labels, *shown, mean, measured.data])
        text = markdown.table(header, lines)
        cells = measured.best_trained(own[0].name, ZERO_SHOT)
        for why, absent in (
            ("no output of the head names it", [n for n in rest if n not in cells[0]["per_label"]]),
            ("undefined in the test split", [n for n in rest if n in cells[0]["per_label"]]),
        ):
            if absent:
                text += f"\n\nIn no mean of this table, {why}: {', '.join(absent)}."
        tables.append(text)
    return tables


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if len(known) == len(values) else None


def what_modes_are(measured: Measured) -> list[str]:
    """Say what each mode that was measured is, as the first method that has it describes it."""
    about = {
        mode: method.modes[mode].about
        for method in reversed(measured.methods)
        for mode in method.modes
    }
    return [f"{mode}: {about[mode]}" for mode in measured.modes if about.get(mode)]


def verdicts(measured: Measured, generates: bool = False) -> list[str]:
    """Say of each claim that was measured whether it holds here, with the differences by seed.

    Claims about methods that make leads are apart from the others.
    """
    fraction = measured.fractions[-1]
    generating = {method.name for method in measured.methods if method.generates}
    lines = []
    for claim in measured.claims:
        if (claim.first.method in generating) != generates:
            continue
        values = measured.difference(claim.first, claim.second, fraction)
        if values:
            holds = "yes" if min(values) > 0 else "no" if max(values) < 0 else "not in every seed"
            each = ", ".join(f"{100 * value:+.2f}" for value in values)
            lines.append(f"{claim.text}: {holds} ({_signed(values)}; by seed {each})")
    return lines


def _of_fraction(
    pairs: Sequence[tuple[float, Method]],
    fraction: float,
    cells: Sequence[str],
    columns: Sequence[Sequence[Spread | None]],
    row: int,
) -> list[tuple[str, int]]:
    own = [k for k, (other, _) in enumerate(pairs) if other == fraction]
    ranks = _ranks([columns[k][row] for k in own])
    return [(cells[k], ranks[position]) for position, k in enumerate(own)]


def _ranks(values: Sequence[Spread | None]) -> list[int]:
    """Return 1 for the best, 2 for the second, 0 for the others."""
    order = sorted({value[0] for value in values if value is not None}, reverse=True)[:2]
    return [0 if v is None or v[0] not in order else order.index(v[0]) + 1 for v in values]


def _mark(text: str, rank: int) -> str:
    marks: dict[int, Callable[[str], str]] = {1: "**{}**".format, 2: "_{}_".format}
    return marks.get(rank, str)(text)


def _percent(value: Spread | None, with_spread: bool = False) -> str:
    if value is None:
        return "-"
    mean, deviation = value
    if deviation is None or not with_spread:
        return f"{100 * mean:.2f}"
    return f"{100 * mean:.2f} ± {100 * deviation:.2f}"


def _signed(differences: Sequence[float]) -> str:
    value = spread(differences)
    if value is None:
        return "-"
    mean, deviation = value
    return f"{100 * mean:+.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


def _plain(value: float) -> str:
    return f"{value:.2f}"
