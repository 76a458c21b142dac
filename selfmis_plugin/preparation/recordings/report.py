"""What was kept of own recordings, and what was refused: figures, tables and pictures."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from selfmis_plugin.preparation.recordings.selection import REASONS, Outcome, Strip
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.visualization.windows import draw_histogram, draw_strips

REPORT_FOLDER = "report"
REPORT_FILE = "report.json"
WINDOWS_FILE = "windows.csv"

#: Groups of which pictures are drawn, the largest first.
MOST_PICTURES = 40
#: Kept windows in a picture; of the refused ones it has one for each reason.
STRIPS = 4

_TEXTS = dict.fromkeys(("source", "subject", "activity", "split", "reason", "record_id"), str)
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass
class Report:
    """Everything there is to tell about a preparation.

    Attributes
    ----------
    settings
        What was asked for.
    threshold, rule
        Threshold of the quality figure, and where it is from.
    windows
        A row a window: source, subject, activity, split, start, figure, beats, reason, record_id.
    refused
        Recordings that could not be used, and why.
    kept, turned_down
        Examples of each group.
    group
        Column of *windows* whose values the pictures are drawn for.
    """

    settings: dict[str, Any]
    threshold: float
    rule: str
    windows: pd.DataFrame
    refused: list[tuple[str, str]] = field(default_factory=list)
    kept: dict[str, list[Strip]] = field(default_factory=dict)
    turned_down: dict[str, list[Strip]] = field(default_factory=dict)
    group: str = "subject"

    @classmethod
    def read(cls, folder: Path) -> Report:
        """Read what :meth:`write` wrote, without the examples.

        Raises
        ------
        OSError, ValueError, KeyError
            If a file is not there, or is not such a report's.
        """
        found = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
        windows = pd.read_csv(folder / WINDOWS_FILE, dtype=_TEXTS, keep_default_na=False)
        return cls(
            settings=found["settings"],
            threshold=found["threshold"],
            rule=found["threshold_from"],
            windows=windows.astype({"start": float, "figure": float, "beats": int}),
            refused=[(row["source"], row["reason"]) for row in found["refused_recordings"]],
            group="activity" if (windows["activity"] != "").any() else "subject",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: the whole, and by recording, subject and activity."""
        by = {"recordings": "source", "subjects": "subject", "activities": "activity"}
        return {
            "settings": self.settings,
            "threshold": self.threshold,
            "threshold_from": self.rule,
            "all": _figures(self.windows),
            **{
                name: {str(key): _figures(rows) for key, rows in self._groups(column)}
                for name, column in by.items()
            },
            "refused_recordings": [{"source": s, "reason": r} for s, r in self.refused],
        }

    def table(self) -> str:
        """Return kept and refused windows by group, as text."""
        groups = [*self._groups(self.group), ("all", self.windows)]
        found = [name for name in REASONS if (self.windows["reason"] == name).any()]
        width = max(len(self.group), *(len(str(key)) for key, _ in groups))
        lines = [f"{self.group:{width}} {'windows':>8} {'kept':>8} {'quality':>8}"]
        lines[0] += "".join(f" {name:>{max(7, len(name))}}" for name in found)
        for key, rows in groups:
            middle = rows.loc[_compared(rows), "figure"].median()
            line = f"{key!s:{width}} {len(rows):>8,} {(rows['reason'] == '').sum():>8,} "
            line += f"{'-' if np.isnan(middle) else format(middle, '.2f'):>8}"
            counts = Counter(rows["reason"])
            lines.append(line + "".join(f" {counts[n]:>{max(7, len(n))},}" for n in found))
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Write report.json, windows.csv, the histogram and a picture for each group."""
        folder.mkdir(parents=True)
        write_json(folder / REPORT_FILE, self.to_dict())
        self.windows.to_csv(folder / WINDOWS_FILE, index=False, float_format="%.6g")
        compared = self.windows[_compared(self.windows)]
        draw_histogram(folder / "quality.png", compared["figure"].to_numpy(), self.threshold)
        sizes = Counter(dict(self.windows[self.group].value_counts()))
        names = _file_names(key for key, _ in sizes.most_common(MOST_PICTURES))
        for key, name in names.items():
            rows = self.windows[self.windows[self.group] == key]
            good = int((rows["reason"] == "").sum())
            draw_strips(
                folder / f"windows-{name}.png",
                f"{self.group} {key}: {good:,} of {len(rows):,} windows kept",
                self.kept.get(key, []),
                self.turned_down.get(key, []),
            )

    def _groups(self, column: str) -> Iterable[tuple[Any, pd.DataFrame]]:
        return [(key, rows) for key, rows in self.windows.groupby(column, sort=True) if key != ""]


def window_table(
    outcomes: Sequence[Outcome],
    reasons: Sequence[Sequence[str]],
    splits: Mapping[str, str],
    record_id: Callable[[Outcome, int], str],
) -> pd.DataFrame:
    """Return a row a window of every recording.

    Parameters
    ----------
    outcomes
        The recordings.
    reasons
        Why each window of each recording was refused, "" for a kept one.
    splits
        Split of each subject.
    record_id
        Names a kept window by its recording and its number there, from 0.
    """
    parts = []
    for outcome, why in zip(outcomes, reasons, strict=True):
        source = outcome.source
        parts.append(
            pd.DataFrame(
                {
                    "source": source.path,
                    "subject": source.subject,
                    "activity": source.activity,
                    "split": splits.get(source.subject, ""),
                    "start": np.asarray(outcome.starts, dtype=float),
                    "figure": np.asarray(outcome.figures, dtype=float),
                    "beats": np.asarray(outcome.beats, dtype=int),
                    "reason": list(why),
                    "record_id": ["" if r else record_id(outcome, k) for k, r in enumerate(why)],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _compared(rows: pd.DataFrame) -> pd.Series:
    # Those of which the figure decides.
    return rows["reason"].isin(["", "quality"])


def _figures(rows: pd.DataFrame) -> dict[str, Any]:
    counts = Counter(rows["reason"])
    figures = rows.loc[_compared(rows), "figure"]
    quantiles = {f"{q:g}": float(figures.quantile(q)) for q in _QUANTILES} if len(figures) else {}
    kept = rows[rows["reason"] == ""]
    return {
        "windows": len(rows),
        "kept": counts[""],
        "refused": {name: counts[name] for name in REASONS if counts[name]},
        "quality_quantiles": quantiles,
        "splits": {str(k): int(v) for k, v in sorted(Counter(kept["split"]).items())},
    }


def _file_names(keys: Iterable[str]) -> dict[str, str]:
    """A name for each key that every file system takes, no two the same."""
    names: dict[str, str] = {}
    for key in keys:
        name = base = re.sub(r"[^\w.-]+", "_", key)[:80] or "_"
        number = 2
        while name.casefold() in {other.casefold() for other in names.values()}:
            name, number = f"{base}-{number}", number + 1
        names[key] = name
    return names
