"""``selfmis benchmark intervals``: how often intervals hold the truth, on simulated cohorts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.profiling.benchmark import Benchmark
from selfmis_plugin.utils import arguments, markdown
from selfmis_plugin.utils.files import write_json

if TYPE_CHECKING:
    from selfmis_plugin.metrics.coverage import Coverage

_FIGURES = ("auc", "figures", "differences", "means")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    parser.add_argument(
        "--only",
        type=arguments.known_names(_FIGURES),
        default=_FIGURES,
        metavar="NAMES",
        help=f"some of {','.join(_FIGURES)}; figures are average precision, sensitivity and Brier "
        "score (default: all)",
    )
    parser.add_argument(
        "--cohorts", type=arguments.whole(1), default=1000, metavar="N", help="of each (1000)"
    )
    parser.add_argument(
        "--draws", type=arguments.whole(1), default=200, metavar="N", help="of the bootstrap (200)"
    )
    parser.add_argument(
        "--positives",
        type=_numbers,
        default=(1, 2, 5, 10, 30),
        metavar="NUMBERS",
        help="patients with the label, apart by commas (1,2,5,10,30); not of the means, whose "
        "labels have several",
    )
    parser.add_argument(
        "--negatives",
        type=arguments.whole(1),
        default=240,
        metavar="N",
        help="patients without the label (240)",
    )
    parser.add_argument("--seed", type=arguments.whole(0), default=0, help="of the cohorts (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each share to FILE too")


def run(options: argparse.Namespace) -> int:
    """Simulate, print the tables, write the shares where asked."""
    from selfmis_plugin.metrics import coverage

    common = {
        "cohorts": options.cohorts, "negatives": options.negatives, "seed": options.seed
    }  # fmt: skip
    drawn = {**common, "positives": options.positives, "draws": options.draws}
    simulated = {
        "auc": lambda: coverage.auc_coverage(**drawn),
        "figures": lambda: coverage.figure_coverage(**drawn),
        "differences": lambda: coverage.difference_coverage(**drawn),
        "means": lambda: coverage.mean_coverage(**common),
    }
    found: list[Coverage] = []
    print(
        f"{options.cohorts:,} cohorts of each true AUC ("
        f"{', '.join(f'{level:g}' for level in coverage.AUC_LEVELS)}); the lowest and the highest "
        "share of them whose 95 % interval holds the truth, and the mean width of the interval"
    )
    for name in options.only:
        part = list(simulated[name]())
        found += part
        for figure, table in _tables(part):
            print(f"\n{figure}, by positive patients\n\n{table}", flush=True)
    if options.json is not None:
        about = {**drawn, "coverage": [one.to_dict() for one in found]}
        write_json(options.json, about)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(arguments.whole(1)(part.strip()) for part in text.split(",")))


def _tables(found: Sequence[Coverage]) -> list[tuple[str, str]]:
    """A table a figure: a row a spread of the scores and a method, a column positive patients."""
    tables = []
    for figure in dict.fromkeys(one.figure for one in found):
        cells: dict[tuple[str, str], dict[tuple[int, ...], list[Coverage]]] = {}
        for one in found:
            if one.figure == figure:
                row = cells.setdefault((one.shape, one.method), {})
                row.setdefault(one.positives, []).append(one)
        columns = list(dict.fromkeys(count for row in cells.values() for count in row))
        rows = [[*names, *(_cell(row[count]) for count in columns)] for names, row in cells.items()]
        head = [" + ".join(map(str, count)) for count in columns]
        tables.append((figure, markdown.table(["scores", "interval", *head], rows)))
    return tables


def _cell(found: Sequence[Coverage]) -> str:
    shares = [one.share for one in found]
    width = sum(one.width for one in found) / len(found)
    return f"{min(shares):.3f} to {max(shares):.3f} ({width:.2f})"


BENCHMARK = Benchmark(
    "intervals",
    "how often 95 % intervals hold the truth with few positives, on simulated cohorts",
    add_arguments,
    run,
)
