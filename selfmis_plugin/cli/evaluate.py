"""``selfmis evaluate``: AUCs of a classifier, or retrieval of a pair of towers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.preprocessing import PreprocessingError
from selfmis_plugin.data.store import StoreError
from selfmis_plugin.evaluation.evaluate import evaluate
from selfmis_plugin.files import write_json


def main(argv: Sequence[str]) -> int:
    """Evaluate and print; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="selfmis evaluate",
        description="Evaluate a checkpoint on a split of a store: macro AUC, the mean over the "
        "nine infarction types and each label's AUC with its number of positives; for a "
        "pre-training checkpoint, retrieval of the 12-lead by the single-lead embedding.",
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="a run's checkpoint_best.pt")
    parser.add_argument("--data", type=Path, required=True, help="folder of a store or manifests")
    parser.add_argument("--split", default="test", help="which manifest (default: test)")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(argv)
    try:
        figures = evaluate(options.checkpoint, options.data, options.split, options.batch_size)
        if options.json:
            write_json(options.json, figures)
    except (CheckpointError, StoreError, PreprocessingError, OSError, ValueError) as error:
        print(f"selfmis evaluate: {error}", file=sys.stderr)
        return 1
    print("\n".join(_lines(figures)))
    return 0


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [f"{figures['checkpoint']} on {figures['records']} records of {figures['split']}"]
    if figures["kind"] == "towers":
        ranks = [f"R@{key[1:]} {100 * figures[key]:.1f}" for key in figures if key[1:].isdigit()]
        return [*lines, f"retrieval: {'  '.join(ranks)}  median rank {figures['median_rank']:g}"]
    lines.append(f"{'label':8} {'AUC':>6} {'positives':>9}")
    for name, auc in figures["per_label"].items():
        mark = "*" if name in INFARCTION_TYPES else " "
        lines.append(f"{name:8}{mark}{_auc(auc):>6} {figures['positives'][name]:>9}")
    lines.append(f"macro AUC over the defined labels: {_auc(figures['macro_auc'])}")
    lines.append(f"mean over the infarction types (*): {_auc(figures['mi_auc'])}")
    if figures["undefined"]:
        lines.append(
            "without a positive or without a negative, so left out: "
            + ", ".join(figures["undefined"])
        )
    return lines


def _auc(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
