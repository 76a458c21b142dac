"""The report on what synthetic hearts teach about real ones: table, rows as CSV, a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from selfmis_plugin.benchmark.report import ending_sections
from selfmis_plugin.benchmark.transfer import FLOOR, LEADS
from selfmis_plugin.data.labels import in_words
from selfmis_plugin.data.origin import STATED, Origin, origins_from
from selfmis_plugin.methods.method import ARCHIVE, LABELLED
from selfmis_plugin.utils import markdown
from selfmis_plugin.utils.files import whole_files, write_json
from selfmis_plugin.visualization.figure import new_figure

__all__ = ["write_transfer_report"]

_CHANCE = 0.5
_TITLES = {
    "all": "What synthetic hearts teach about",
    "some": "What synthetic and other records teach about",
    "none": "What records that are not synthetic teach about",
}
_TRAINED = {
    "all": "Trained on **synthetic** records alone",
    "some": "Trained on **synthetic records and others**",
    "none": "Trained on records that are **not known to be synthetic**, so this is no figure of a "
    "synthetic cohort",
}
#: Of twelve leads and of lead I.
_COLORS = ("tab:blue", "tab:orange")
#: How far the points of a statement lie from its line, for both encoders.
_APART = 0.16


def write_transfer_report(dest: Path, report: Mapping[str, Any]) -> str:
    """Write ``report.json``, ``report.md``, ``rows.csv`` and, where there is a figure,
    ``report.png``.

    Parameters
    ----------
    dest
        Folder of the benchmark.
    report
        What :func:`~selfmis_plugin.benchmark.transfer.run_transfer` returned.

    Returns
    -------
    str
        What ``report.md`` holds.
    """
    text = _markdown(report)
    write: dict[str, Callable[[Path], object]] = {
        "report.md": lambda path: path.write_text(text, encoding="utf-8"),
        "rows.csv": lambda path: _lines(report).to_csv(path, index=False),
    }
    if report["statements"]:
        write["report.png"] = lambda path: _draw(report, path)
    write["report.json"] = lambda path: write_json(path, report)
    with whole_files(*(dest / name for name in write)) as paths:
        for to, path in zip(write.values(), paths, strict=True):
            to(path)
    return text


def _markdown(report: Mapping[str, Any]) -> str:
    others = "real records" if _is_real(report["data"][LABELLED]) else "other records"
    about = "\n".join(f"- {line}" for line in _about(report))
    parts = [f"# {_TITLES[report['synthetic']]} {others}", about]
    if report["statements"]:
        parts += [_how_to_read(report), _table(report), _below(report)]
    elif not report["failed"]:
        parts.append(
            f"No statement has {report['min_positives']} positives and as many others: test on "
            "more records, or ask for fewer with --min-positives."
        )
    if report["few"]:
        parts.append(
            f"Without a figure, as fewer than {report['min_positives']} of the tested records "
            f"have them (or lack them): {_named(report['few'])}."
        )
    if report["unseen"]:
        parts.append(
            "Without a figure, as no training record has them: " + _named(report["unseen"]) + "."
        )
    return "\n\n".join([*parts, *ending_sections(report)]) + "\n"


def _about(report: Mapping[str, Any]) -> list[str]:
    train, test = report["data"][ARCHIVE], report["data"][LABELLED]
    counts = ", ".join(f"{name} {train['records'][name]:,}" for name in ("train", "valid"))
    folds = report["strat_folds"]
    of = f"folds {', '.join(map(str, folds))}; " if folds else ""
    seeds = "seed" if len(report["seeds"]) == 1 else "seeds"
    read = sorted({one["records_seen"] for one in report["stages"]})
    ends = read[:1] if read[:1] == read[-1:] else [read[0], read[-1]]
    return [
        f"{_TRAINED[report['synthetic']]}: {train['database']} ({counts}; {_origins(train)}).",
        f"{_tested(test)}: {test['database']} ({of}{report['records']:,} records of "
        f"{report['patients']:,} patients; {_origins(test)}). Nothing was trained on them.",
        f"{report['size']} size, {seeds} {', '.join(map(str, report['seeds']))}, "
        f"selfmis-plugin {report['selfmis_plugin']}, {report['host']}"
        + (f"; each training read {' to '.join(f'{n:,}' for n in ends)} ECGs." if read else "."),
    ]


def _origins(data: Mapping[str, Any]) -> str:
    return "; ".join(map(str, _origins_of(data))) or "origin not recorded"


def _origins_of(data: Mapping[str, Any]) -> tuple[Origin, ...]:
    return origins_from(data["origins"])


def _tested(data: Mapping[str, Any]) -> str:
    if _is_real(data):
        return "Tested on **real** records, as who prepared them states"
    return (
        "Tested on records that **nobody states to be real** (`selfmis prepare --origin TEXT` does)"
    )


def _is_real(data: Mapping[str, Any]) -> bool:
    """Whether who prepared the records states where they come from; synthetic ones are refused."""
    return {origin.kind for origin in _origins_of(data)} == {STATED}


def _how_to_read(report: Mapping[str, Any]) -> str:
    seeds = len(report["seeds"])
    return (
        "AUC in percent with 95 % intervals by patient, "
        + ("one seed" if seeds == 1 else f"mean over {seeds} seeds (± their standard deviation)")
        + f", of the statements that {report['min_positives']} tested records or more have; chance "
        "is 50. One encoder was trained with 12 leads and one with lead I, each is asked by its "
        "own head. *Any infarction* is the probability of at least one of the nine types. "
        "*Positives* are tested records, *trained on* the training records with the statement."
    )


def _table(report: Mapping[str, Any]) -> str:
    rows = [
        [
            in_words(one["label"]),
            f"{one['positives']:,}",
            f"{one['trained_on']:,}",
            *(_shown(one["figures"].get(leads)) for leads in LEADS.values()),
        ]
        for one in report["statements"]
    ]
    return markdown.table(["Statement", "positives", "trained on", *LEADS.values()], rows)


def _shown(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "-"
    text = f"{100 * figure['value']:.1f}"
    if figure["low"] is not None:
        text += f" ({100 * figure['low']:.1f} to {100 * figure['high']:.1f})"
    if figure["deviation"] is not None:
        text += f" ± {100 * figure['deviation']:.1f}"
    return text


def _below(report: Mapping[str, Any]) -> str:
    twelve = LEADS["twelve_lead"]
    values = {
        one["label"]: one["figures"][twelve]["value"]
        for one in report["statements"]
        if twelve in one["figures"]
    }
    if not values:
        return f"Nothing was judged with {twelve}."
    if not report["below"]:
        return f"Nothing in the table stays below {100 * FLOOR:.0f} % with {twelve}."
    named = ", ".join(f"{in_words(name)} ({100 * values[name]:.1f})" for name in report["below"])
    return f"Below {100 * FLOOR:.0f} % with {twelve}: {named}."


def _named(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{in_words(name)} ({count})" for name, count in counts.items())


def _lines(report: Mapping[str, Any]) -> pd.DataFrame:
    """Return a line for each figure."""
    return pd.DataFrame(
        [
            {
                "statement": one["label"],
                "leads": leads,
                "positives": one["positives"],
                "records": report["records"],
                "trained_on": one["trained_on"],
                "seeds": len(figure["seeds"]),
                **{key: figure[key] for key in ("value", "low", "high", "deviation")},
            }
            for one in report["statements"]
            for leads, figure in one["figures"].items()
        ],
        columns=[
            *("statement", "leads", "positives", "records", "trained_on", "seeds"),
            *("value", "low", "high", "deviation"),
        ],
    )


def _draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw both encoders by statement, with intervals, every seed, and chance."""
    statements: Sequence[Mapping[str, Any]] = report["statements"]
    figure = new_figure(8, 1.8 + 0.36 * len(statements), layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(100 * _CHANCE, color="0.6", linestyle=":", label="chance")
    for leads, shift, color in zip(LEADS.values(), (-_APART, _APART), _COLORS, strict=True):
        label = leads
        for row, one in enumerate(statements):
            found = one["figures"].get(leads)
            if found is None:
                continue
            height = row + shift
            if found["low"] is not None:
                axes.plot([100 * found["low"], 100 * found["high"]], [height] * 2, color=color)
            seeds = [100 * value for value in found["seeds"]]
            axes.plot(seeds, [height] * len(seeds), "|", color=color)
            axes.plot(100 * found["value"], height, "o", color=color, label=label)
            label = "_" + leads  # named once
    names = [f"{in_words(one['label'])} ({one['positives']:,})" for one in statements]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("AUC in % with 95 % interval; positives in brackets")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right", ncols=3)
    train, test = report["data"][ARCHIVE], report["data"][LABELLED]
    synthetic = {"all": "synthetic", "some": "partly synthetic", "none": "not synthetic"}
    figure.suptitle(
        f"trained on {train['database']} ({synthetic[report['synthetic']]}), tested on "
        f"{test['database']} ({_origins(test)})",
        fontsize=11,
    )
    figure.savefig(path, dpi=130)
