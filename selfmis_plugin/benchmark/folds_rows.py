"""Rows of the cross-validated benchmark: their order, how they were judged, by what protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["judged", "ordered", "protocol"]


def protocol(report: Mapping[str, Any]) -> str:
    """Say which folds were tested on."""
    if report["held_out"]:
        return f"folds {', '.join(map(str, report['held_out']))} held out"
    chosen = report["strat_folds"]
    of = f" of the folds {', '.join(map(str, chosen))}" if chosen else ""
    return f"cross-validated over {report['folds']} folds{of}"


def ordered(report: Mapping[str, Any], titles: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Return the rows in the order of the methods' titles."""
    order = list(titles)
    return sorted(report["rows"], key=lambda row: (order.index(row["method"]), row["mode"]))


def judged(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Say in which mode, and of how many labels, a row was judged; and of how many seeds where
    others of *rows* have more."""
    part, seeds = row["fraction"], len(row["seeds"])
    text = row["mode"] + (f", {100 * part:g} % of the labels" if part not in (0.0, 1.0) else "")
    if seeds < max(len(other["seeds"]) for other in rows):
        text += f" ({seeds} seed{'' if seeds == 1 else 's'})"
    return text
