"""What is in a store, or in manifests of one: counts by split, label, rate, repair and lead, and
of refusals by reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from selfmis_plugin.data.labels import INFARCTION_NAMES, infarctions_first
from selfmis_plugin.data.splits import open_splits
from selfmis_plugin.data.store import REFUSED_FILE, SPLITS, Store, StoreInfo, read_manifest
from selfmis_plugin.data.store.format import ALL_TRAINING

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_FILE = re.compile(r"\S+\.(hea|dat|mat)\b")
_RESAMPLED = re.compile(r"resampled from (\d+(?:\.\d+)?(?:e\+?\d+)?) Hz")
_ABSENT = re.compile(r"leads .* absent")


@dataclass(frozen=True)
class Overview:
    """Counts over a store, or over the records that manifests of one list.

    Attributes
    ----------
    info
        The store's description.
    notes
        What else to know about which records are counted.
    records, patients
        Number of records and patients by split.
    shared_patients
        Number of patients who have records in more than one split.
    labels
        Records by label and split, the commonest first.
    unlabelled
        Records without a label.
    rates
        Records by the rate that they were recorded at, in Hz.
    repaired
        Records in which something was repaired.
    repairs
        Records by what was done to them, numbers replaced by N.
    leads
        Records by lead that is present.
    refused
        Records that were refused when the store was made, by reason, names and numbers left out.
    """

    info: StoreInfo
    notes: tuple[str, ...]
    records: dict[str, int]
    patients: dict[str, int]
    shared_patients: int
    labels: dict[str, Counter[str]]
    unlabelled: int
    rates: Counter[float]
    repaired: int
    repairs: Counter[str]
    leads: dict[str, int]
    refused: Counter[str]

    @property
    def total(self) -> int:
        """Number of records that are counted."""
        return sum(self.records.values())


def summarise(store: Store) -> Overview:
    """Count what is in a store.

    Raises
    ------
    StoreError
        If its table of records, or its training manifest, cannot be read.
    """
    everything = store.path / f"{ALL_TRAINING}.tsv"
    notes: tuple[str, ...] = ()
    if everything.is_file():
        chosen, known = (
            len(read_manifest(path).record_ids) for path in (store.path / "train.tsv", everything)
        )
        notes = (f"train.tsv lists {chosen:,} of the {known:,} in {everything.name}",)
    return _count(store, store.records, notes)


def summarise_manifests(folder: Path) -> Overview:
    """Count what the manifests of a folder list; splits are the manifests' own.

    Raises
    ------
    StoreError
        As :func:`~selfmis_plugin.data.splits.open_splits`.
    """
    splits = open_splits(folder)
    store = next(iter(splits.values())).store
    records = store.records
    table = pd.concat(
        [records.iloc[part.rows].assign(split=split) for split, part in splits.items()]
    )
    note = f"listed by {folder}, of the {len(records):,} records of the store {store.path}"
    return _count(store, table, (note,))


def _count(store: Store, table: pd.DataFrame, notes: tuple[str, ...]) -> Overview:
    splits = table["split"].to_numpy()
    pairs = table[["split", "patient_id"]].drop_duplicates()
    in_splits = pairs["patient_id"].value_counts()
    labels: dict[str, Counter[str]] = {}
    unlabelled = 0
    for split, names in zip(splits, table["labels"].to_numpy(), strict=True):
        unlabelled += not names
        for name in names:
            labels.setdefault(name, Counter())[split] += 1
    ordered = sorted(labels, key=lambda name: (-labels[name].total(), name))
    view = store.info.view
    plain_rate = store.info.sample_rate if view is None else view.sample_rate
    rates: Counter[float] = Counter()
    repairs: Counter[str] = Counter()
    # Few different texts, so each is taken apart once.
    for text, count in table["repaired"].value_counts().items():
        found = _RESAMPLED.search(str(text))
        rates[float(found[1]) if found else plain_rate] += int(count)
        for kind in {_kind(part) for part in str(text).split("; ") if part}:
            repairs[kind] += int(count)
    masks = table["lead_mask"].to_numpy()
    if view is not None:
        of = f"a view of {view.origin} with the signals of {', '.join(view.leads)}"
        notes = (*notes, f"{of} at {store.info.sample_rate:g} Hz")
    return Overview(
        info=store.info,
        notes=notes,
        records={split: int((splits == split).sum()) for split in SPLITS},
        patients={split: int((pairs["split"] == split).sum()) for split in SPLITS},
        shared_patients=int((in_splits > 1).sum()),
        labels={name: labels[name] for name in ordered},
        unlabelled=unlabelled,
        rates=rates,
        repaired=int((table["repaired"] != "").sum()),
        repairs=repairs,
        leads={lead: int(((masks >> bit) & 1).sum()) for bit, lead in enumerate(store.info.leads)},
        refused=_refused(store),
    )


#: Labels that an overview lists.
MOST_LABELS = 20


def overview_lines(overview: Overview, most_labels: int | None = MOST_LABELS) -> list[str]:
    """Return the overview as a table to print, with the commonest labels; None: with all."""
    info = overview.info
    splits = [split for split in SPLITS if overview.records[split]]
    total = max(1, overview.total)
    lines = [
        f"{info.database}: {overview.total:,} records of {info.seconds:g} s at "
        f"{info.sample_rate:g} Hz, filter {info.filter}, prepared by version {info.created_with}",
        f"origin: {'; '.join(map(str, info.origins)) or 'not recorded'}",
        *overview.notes,
        "",
        _row("split", *(f"{split:>9}" for split in splits)),
        _row("records", *(f"{overview.records[split]:>9,}" for split in splits)),
        _row("patients", *(f"{overview.patients[split]:>9,}" for split in splits)),
    ]
    if overview.shared_patients:
        lines.append(f"{overview.shared_patients:,} patients have records in more than one split")
    if overview.labels:
        lines += ["", _row("label", *(f"{split:>9}" for split in splits))]
        shown = infarctions_first(list(overview.labels)[:most_labels])
        for name in shown:
            counts = overview.labels[name]
            words = f"  {INFARCTION_NAMES[name]}" if name in INFARCTION_NAMES else ""
            lines.append(_row(name, *(f"{counts[split]:>9,}" for split in splits)) + words)
        left = len(overview.labels) - len(shown)
        lines += [f"... and {left} more labels (--all-labels lists them)"] if left > 0 else []
    if overview.unlabelled:
        lines.append(f"without a label: {overview.unlabelled:,}")
    lines += ["", f"repaired: {overview.repaired:,} ({100 * overview.repaired / total:.1f} %)"]
    lines += _counts(overview.repairs)
    lines.append("recorded at: " + ", ".join(f"{r:g} Hz {n:,}" for r, n in overview.rates.items()))
    lacking = {lead: overview.total - n for lead, n in overview.leads.items() if n < overview.total}
    if lacking:
        lines.append("absent leads: " + ", ".join(f"{lead} {n:,}" for lead, n in lacking.items()))
    lines.append(f"refused: {overview.refused.total():,}")
    lines += _counts(overview.refused)
    return lines


def _row(name: str, *cells: str) -> str:
    return f"{name:24}{' '.join(cells)}"


def _counts(counter: Counter[str], most: int = 10) -> Iterable[str]:
    return [f"  {count:>9,}  {text}" for text, count in counter.most_common(most)]


def _kind(text: str) -> str:
    if _ABSENT.fullmatch(text):
        return "leads absent"
    if _RESAMPLED.fullmatch(text):
        return "resampled"
    return _NUMBER.sub("N", text)


def _refused(store: Store) -> Counter[str]:
    reasons: Counter[str] = Counter()
    path = store.path / REFUSED_FILE
    if not path.is_file():
        return reasons
    # It tells people what happened; a sign that cannot be read does not keep the rest from them.
    with path.open(encoding="utf-8", errors="replace") as file:
        next(file, None)
        for line in file:
            reason = line.rstrip("\n").partition("\t")[2]
            # "NAME.hea: 3 signals announced, 2 listed": the name comes first.
            _, colon, rest = reason.partition(": ")
            text = _FILE.sub("FILE", _QUOTED.sub("'...'", rest if colon else reason))
            reasons[_NUMBER.sub("N", text)] += 1
    return reasons
