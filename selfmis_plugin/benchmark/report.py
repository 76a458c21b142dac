"""The infarction benchmark's report: tables, every cell as CSV, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from selfmis_plugin.benchmark.methods_picture import draw_methods
from selfmis_plugin.benchmark.picture_parts import DPI
from selfmis_plugin.benchmark.side_by_side import cost_points, cost_table, draw_costs
from selfmis_plugin.benchmark.tables import (
    Measured,
    covered_types,
    methods_of_table_3,
    table_1,
    table_2,
    table_3,
    table_5,
    table_of_modes,
    tables_of_zero_shot,
    verdicts,
    what_modes_are,
)
from selfmis_plugin.benchmark.tested_people import seen_words, unsure_words
from selfmis_plugin.data.labels import INFARCTION_TYPES, in_words
from selfmis_plugin.data.origin import origins_from
from selfmis_plugin.methods.method import PROBE, Claim, Method
from selfmis_plugin.utils.files import whole_files, write_json

__all__ = [
    "ending_sections", "measured_on", "seen_paragraphs", "write_files",
    "write_infarction_report",
]  # fmt: skip

#: Pictures that a report of a benchmark without folds may have.
_PICTURES = ("report.png", "costs.png")


def write_infarction_report(
    dest: Path,
    report: Mapping[str, Any],
    methods: Sequence[Method],
    claims: Sequence[Claim] = (),
) -> str:
    """Write ``report.json``, ``report.md``, ``cells.csv``, ``report.png`` and ``costs.png``.

    The pictures are there if they have something to show; those of an earlier report are removed.

    Parameters
    ----------
    dest
        Folder of the benchmark.
    report
        What :func:`~selfmis_plugin.benchmark.infarction.run_infarction` returned.
    methods
        The rows, in their order.
    claims
        What is put to the test where it was measured.

    Returns
    -------
    str
        What ``report.md`` holds.
    """
    measured = Measured(report, methods, claims)
    text = _markdown(report, measured)
    write: dict[str, Callable[[Path], object]] = {
        "report.md": lambda path: path.write_text(text, encoding="utf-8"),
        "cells.csv": lambda path: _table(measured).to_csv(path, index=False),
    }
    if measured.cells:
        write["report.png"] = lambda path: draw_methods(measured, report).savefig(path, dpi=DPI)
    if points := cost_points(measured, report):
        write["costs.png"] = lambda path: draw_costs(points, measured, report).savefig(
            path, dpi=DPI
        )
    write["report.json"] = lambda path: write_json(path, report)
    write_files(dest, write, _PICTURES)
    return text


def write_files(
    dest: Path, write: Mapping[str, Callable[[Path], object]], pictures: Iterable[str]
) -> None:
    """Write the files of a report, all or none, and remove the pictures of an earlier one.

    Parameters
    ----------
    dest
        Folder of the benchmark.
    write
        Functions that write a file, by its name.
    pictures
        Names of all pictures that such a report may have: one that is not written would show what
        the report does not say.

    Raises
    ------
    WriteError
        If the disk is full, or nothing may be written there; then all are as they were.
    """
    with whole_files(*(dest / name for name in write)) as paths:
        for to, path in zip(write.values(), paths, strict=True):
            to(path)
    for name in pictures:
        if name not in write:
            (dest / name).unlink(missing_ok=True)


def _markdown(report: Mapping[str, Any], measured: Measured) -> str:
    seeds = sorted({cell["seed"] for cell in measured.cells})
    parts = [
        f"# Infarction benchmark\n\n{measured_on(report)} {len(seeds)} seed"
        f"{'' if len(seeds) == 1 else 's'}; AUC in percent, mean ± standard deviation over seeds. "
        "**Best**, _second_. Where few patients have a type, 95 % intervals stand in brackets.\n\n"
        f"Types: {', '.join(map(in_words, INFARCTION_TYPES))}.",
        *seen_paragraphs(report.get("rows", ()), {m.name: m.title for m in measured.methods}),
    ]
    probed = [
        method
        for method in measured.methods
        if not method.generates
        and any(measured.chosen(method.name, PROBE, fraction) for fraction in measured.fractions)
    ]
    if probed or measured.lacking:
        parts.append(f"## Linear probing (the paper's table 1)\n\n{table_1(measured)}")
        if any(m in probed and not m.reference for m in methods_of_table_3(measured)):
            parts.append(f"## Fractions of the labels (table 3)\n\n{table_3(measured)}")
    made = [
        mode
        for mode in measured.modes
        if any(m.generates and measured.best_trained(m.name, mode) for m in measured.methods)
    ]
    for mode in made:
        parts.append(f"## Leads made from one ({mode}; table 2)\n\n{table_2(measured, mode)}")
    if made:
        parts[-1] += "".join(f"\n\n- {line}" for line in verdicts(measured, generates=True))
    if zero_shot := tables_of_zero_shot(measured):
        parts.append("\n\n".join(["## Own heads, nothing trained (zero-shot)", *zero_shot]))
    if any(m.ablation for m in measured.methods) and measured.cells:
        parts.append(f"## Ablation (table 5)\n\n{table_5(measured)}")
        parts[-1] += "".join(f"\n\n- {line}" for line in verdicts(measured))
    # The first table has the probes alone.
    if any(mode != PROBE for mode in measured.modes):
        parts.append(f"## Ways to train on labels\n\n{table_of_modes(measured)}")
        parts[-1] += "".join(f"\n\n- {line}" for line in what_modes_are(measured))
    if costs := cost_table(measured, report):
        parts.append(f"## AUC and cost, side by side\n\n{costs}")
    return "\n\n".join([*parts, *ending_sections(report)]) + "\n"


def ending_sections(report: Mapping[str, Any]) -> list[str]:
    """Return the sections on what this host lacks, what was left out and what failed."""
    parts = []
    if lacking := report.get("lacking"):
        lines = [f"- {name}: {reason}" for name, reason in lacking.items()]
        parts.append("## Not in this host\n\n" + "\n".join(lines))
    if left_out := report.get("left_out"):
        lines = [f"- {name}: {reason}" for name, reason in left_out.items()]
        parts.append("## Left out\n\n" + "\n".join(lines))
    if report["failed"]:
        lines = [f"- {name}: {error.splitlines()[0]}" for name, error in report["failed"].items()]
        parts.append("## Failed\n\n" + "\n".join(lines))
    return parts


def seen_paragraphs(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> list[str]:
    """Return the paragraphs that say which rows started from trainings on tested people, and of
    which that is not known; none where there are none."""
    return [
        f"**{names}**: {words}."
        for names, words in (*seen_words(rows, titles), *unsure_words(rows, titles))
    ]


def measured_on(report: Mapping[str, Any]) -> str:
    """Say on what data, at what size and in which host the figures were measured."""
    data = "; ".join(
        f"{role}: {about['database']} "
        f"({', '.join(f'{split} {count:,}' for split, count in about['records'].items())}; "
        f"{'; '.join(map(str, origins_from(about.get('origins', ())))) or 'origin not recorded'})"
        for role, about in report["data"].items()
    )
    return f"Measured on {data}; {report['size']} size, {report['host']}."


def _table(measured: Measured) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **{key: cell[key] for key in ("method", "mode", "fraction", "seed")},
                **{key: cell[key] for key in ("train_records", "records", "seconds")},
                "mi_auc": cell["mi_auc"],
                "mi_types": len(covered_types([cell])),
                "mi_auc_low": cell["record"]["mi_auc"]["low"],
                "mi_auc_high": cell["record"]["mi_auc"]["high"],
                "macro_auc": cell["macro_auc"],
                "macro_labels": sum(value is not None for value in cell["per_label"].values()),
                **{name: cell["per_label"].get(name) for name in INFARCTION_TYPES},
                **{f"positives_{name}": cell["positives"].get(name) for name in INFARCTION_TYPES},
            }
            for cell in measured.cells
        ]
    )
