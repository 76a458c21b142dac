"""The table and picture of a demo on few labels."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from selfmis_plugin import toolkit
from selfmis_plugin._version import __version__
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.demo.few_labels_picture import draw_few_labels
from selfmis_plugin.methods.demo_plan import FewLabels, FewLabelsSizes
from selfmis_plugin.utils import markdown
from selfmis_plugin.utils.files import whole_files, write_json


def write_report(
    plan: FewLabels,
    dest: Path,
    cells: Sequence[dict[str, Any]],
    sizes: FewLabelsSizes,
    seconds: float,
    version: int,
) -> dict[str, Any]:
    """Write ``report.json``, ``report.md`` and ``report.png``.

    Parameters
    ----------
    plan
        The demo.
    dest
        Folder to write into.
    cells
        Figures of each seed.
    sizes
        What the demo was made of.
    seconds
        How long this call of the demo took.
    version
        Of the cohort.

    Returns
    -------
    dict
        What ``report.json`` holds.
    """
    report = {
        "rows": {name: _row(cells, name, row.what) for name, row in plan.rows.items()},
        **{key: _retrieval(cells, row) for row, key in plan.retrievals.items()},
        "seed": cells[0]["seed"],
        "seeds": [cell["seed"] for cell in cells],
        "seconds": round(seconds, 1),
        "training_seconds": {
            name: round(statistics.mean(cell["training_seconds"][name] for cell in cells), 1)
            for name in cells[0]["training_seconds"]
        },
        "host": toolkit.host_version(),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "selfmis_plugin": __version__,
        "data": f"synthetic cohort, version {version}",
        "cohort_version": version,
        "sizes": asdict(sizes),
    }
    retrievals = {row: report[key] for row, key in plan.retrievals.items()}
    text = _markdown(report, retrievals)
    files = [dest / f"report.{suffix}" for suffix in ("json", "md", "png")]
    with whole_files(*files) as (figures, words, picture):
        write_json(figures, report)
        words.write_text(text, encoding="utf-8")
        draw_few_labels(plan, report, retrievals).savefig(picture, dpi=130)
    print(text)
    print("\n".join(map(str, files)))
    return report


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _sd(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.stdev(known) if len(known) > 1 else None


def _row(cells: Sequence[dict[str, Any]], row: str, what: str) -> dict[str, Any]:
    figures = [cell["rows"][row] for cell in cells]
    labels = figures[0]["per_label"]
    return {
        "what": what,
        "mi_auc": _mean([f["mi_auc"] for f in figures]),
        "mi_auc_sd": _sd([f["mi_auc"] for f in figures]),
        "mi_auc_by_seed": [f["mi_auc"] for f in figures],
        "macro_auc": _mean([f["macro_auc"] for f in figures]),
        "per_label": {name: _mean([f["per_label"][name] for f in figures]) for name in labels},
        "positives": figures[0]["positives"],
        "records": figures[0]["records"],
    }


def _retrieval(cells: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    figures = [cell["retrieval"][name] for cell in cells]
    keys = [key for key in figures[0] if key[0] == "r" and key[1:].isdigit()]
    return {key: _mean([f[key] for f in figures]) for key in keys} | {
        "median_rank": _mean([f["median_rank"] for f in figures]),
        "records": figures[0]["records"],
    }


def _markdown(report: dict[str, Any], retrievals: Mapping[str, Any]) -> str:
    seeds = len(report["seeds"])
    sizes = report["sizes"]
    test = next(iter(report["rows"].values()))["records"]
    lines = [
        f"Synthetic cohort, version {report['cohort_version']}, {report['host']}, "
        f"{seeds} seed{'s' if seeds > 1 else ''}: AUC of the "
        f"nine infarction types on {test} test records; {sizes['few_labels']} labelled records to "
        f"train on, {sizes['unlabelled'] - sizes['unlabelled_valid']} unlabelled ones to align.",
        _table(report["rows"]),
        _table_of_retrieval(retrievals),
    ]
    return "\n\n".join(lines) + "\n"


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for name, row in rows.items():
        spread = "" if row["mi_auc_sd"] is None else f" ± {row['mi_auc_sd']:.3f}"
        each = [_auc(row["per_label"].get(kind)) for kind in INFARCTION_TYPES]
        lines.append([f"`{name}`", row["what"], f"{_auc(row['mi_auc'])}{spread}", *each])
    positives = next(iter(rows.values()))["positives"]
    text = markdown.table(["row", "what", "mean of nine", *INFARCTION_TYPES], lines)
    # Without the spaces of empty cells.
    each = [str(positives.get(kind, 0)) for kind in INFARCTION_TYPES]
    return f"{text}\n| | positives in the test split | | {' | '.join(each)} |"


def _table_of_retrieval(retrievals: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            f"`{name}`",
            *(f"{100 * figures[rank]:.1f} %" for rank in ("r1", "r5", "r10")),
            str(figures["records"]),
        ]
        for name, figures in retrievals.items()
    ]
    what = "retrieval of the 12-lead by the lead-I embedding"
    return markdown.table([what, "R@1", "R@5", "R@10", "among"], rows)


def _auc(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
