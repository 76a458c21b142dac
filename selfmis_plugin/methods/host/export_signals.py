"""Write a store's records as the files that fairseq-signals' ECG tasks read.

One MATLAB file a record (or half of one) with ``feats`` (12 leads x samples), and manifests::

    signals/0000/NAME.mat   the records, a thousand a folder
    train.tsv ...           root folder, then NAME<TAB>samples (for CMSC see below)
    patients.tsv            the number that stands for each patient in the files
    y.npy labels.csv        classification: all targets by idx, and what their columns are
    export.json             what was asked for; "complete" once everything is there

CMSC manifests hold ``root``, ``mat``, then ``NAME<TAB>samples<TAB>leads<TAB>0,1`` for the files
``NAME_0.mat`` and ``NAME_1.mat``: the two halves of a record.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import scipy.io
from scipy.signal import resample_poly

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.preprocessing import LOWEST_RATE, resampling_ratio
from selfmis_plugin.data.splits import Split, open_splits
from selfmis_plugin.data.store import RECORDS_FILE, SIGNALS_FILE, SPLITS, Store, StoreError
from selfmis_plugin.utils.disk import explained
from selfmis_plugin.utils.files import require_folder, whole_file, write_json
from selfmis_plugin.utils.parallel import ordered_map
from selfmis_plugin.utils.replacing import put_back, replace_folder
from selfmis_plugin.utils.temporary import remove, sweep

FORMAT = "fairseq-signals"
EXPORT_FILE = "export.json"
SIGNALS_FOLDER = "signals"
_OWN_FILES = frozenset(
    {SIGNALS_FOLDER, EXPORT_FILE, "patients.tsv", "y.npy", "labels.csv"}
    | {f"{split}.tsv" for split in SPLITS}
)
KINDS: tuple[str, ...] = ("plain", "cmsc", "classification")

_PER_FOLDER = 1000
#: Longer names are replaced: file systems end at 255 bytes.
_LONGEST_NAME = 200

Scaling = Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]


def to_millivolts(signal: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Turn microvolts into float32 millivolts."""
    return signal.astype(np.float32) / np.float32(1000)


def standardise(signal: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Bring each lead of a record, (leads, samples), to mean 0 and deviation 1; a flat one to 0."""
    values = signal.astype(np.float64)
    values -= values.mean(axis=-1, keepdims=True)
    deviation = values.std(axis=-1, keepdims=True)
    return (values / np.where(deviation == 0, 1, deviation)).astype(np.float32)


def decimate(
    signal: npt.NDArray[np.int16], rate: float, target: float
) -> npt.NDArray[np.int16] | npt.NDArray[np.float64]:
    """Lower the sample rate of (leads, samples) as :class:`selfmis_plugin.nn.inputs.Preparation`
    does: by scipy's own filter, with zeros beyond the ends. A constant lead stays one."""
    if rate == target:
        return signal
    ratio = resampling_ratio(rate, target)
    lowered = resample_poly(signal.astype(np.float64), ratio.numerator, ratio.denominator, axis=-1)
    return np.where(np.ptp(signal, axis=-1, keepdims=True) == 0, signal[:, :1], lowered)


SCALES: dict[str, Scaling] = {"zscore": standardise, "mV": to_millivolts}


@dataclass(frozen=True)
class ExportOptions:
    """What to write.

    Attributes
    ----------
    kind
        "plain", "cmsc" or "classification".
    leads
        Leads that are kept; the others are zero in ``feats``, which always has twelve.
    scale
        "zscore", as the toolkit's preprocessing scripts leave the signals, or "mV".
    label_set
        Label set of the store, for classification.
    sample_rate
        Hz of the files, at most the store's; None: the store's.
    """

    kind: str = "plain"
    leads: tuple[str, ...] = STANDARD_LEADS
    scale: str = "zscore"
    label_set: str | None = None
    sample_rate: float | None = None


@dataclass(frozen=True)
class ExportSummary:
    """What an export wrote.

    Attributes
    ----------
    dest
        The folder.
    records
        Number of records by split.
    written, there
        Number of records whose files were written now, and were there already.
    seconds
        How long writing took.
    """

    dest: Path
    records: dict[str, int]
    written: int
    there: int
    seconds: float

    def __str__(self) -> str:
        splits = ", ".join(f"{split} {count:,}" for split, count in self.records.items())
        speed = f" at {self.written / self.seconds:,.0f}/s" if self.written else ""
        return (
            f"{self.dest}: {splits}\n"
            f"  {self.written:,} records written{speed}, {self.there:,} there already"
        )


@dataclass(frozen=True)
class _Record:
    row: int
    name: str
    patient: int
    target: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class _Writer:
    """Writes the files of a record; in a worker."""

    store: Store
    folder: Path
    options: ExportOptions
    rate: float
    file_size: int

    def __call__(self, record: _Record) -> bool:
        """Return whether something had to be written."""
        suffixes = ("_0", "_1") if self.options.kind == "cmsc" else ("",)
        paths = [self.folder / f"{record.name}{suffix}.mat" for suffix in suffixes]
        if all(_size(path) == self.file_size for path in paths):
            return False
        kept = [STANDARD_LEADS.index(lead) for lead in self.options.leads]
        signal = decimate(
            self.store.read([record.row], self.options.leads)[0],
            self.store.info.sample_rate,
            self.rate,
        )
        feats = np.zeros((len(STANDARD_LEADS), signal.shape[-1]), dtype=np.float32)
        feats[kept] = SCALES[self.options.scale](signal)
        contents = _contents(feats, record, self.options.kind, self.rate)
        for path, content in zip(paths, contents, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            # A record has one writer, so that one name for what is unfinished will do, and the
            # next run replaces what a killed one left.
            partial = path.with_name(f".{path.name}.partial")
            try:
                partial.write_bytes(_mat(content))
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        return True


def export_signals(
    data: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    options: ExportOptions,
    *,
    workers: int = 1,
    overwrite: bool = False,
) -> ExportSummary:
    """Write the records of a store's manifests for fairseq-signals.

    The manifests appear when every file is there. The same call after an interruption goes on
    with the files that are missing.

    Parameters
    ----------
    data
        Folder of a store, or of manifests; its train, valid and test are written, where there.
    dest
        Folder to make.
    options
        What to write.
    workers
        Number of processes.
    overwrite
        Whether to replace an export of something else at *dest*, once the new one is whole. Files
        of the user's own in it are kept.

    Raises
    ------
    StoreError
        If *data* cannot be read, a record lacks a lead that is kept, the label set is unknown, or
        *dest* holds something else.
    WriteError
        If the disk is full, or nothing may be written there.
    """
    splits = open_splits(data)
    store = next(iter(splits.values())).store
    labels = _check(options, splits, store)
    folder = Path(dest).absolute()
    plan = {**asdict(options), "store": str(store.path), "digest": _digest(store, splits)}
    # As JSON gives it back.
    plan = json.loads(json.dumps(plan))
    work = _begin(folder, plan, overwrite)

    rows = np.unique(np.concatenate([split.rows for split in splits.values()]))
    targets = store.targets(rows, labels) if labels else None
    patients, numbers = _number_patients(store)
    names = {int(row): _name(int(row), store.records["record_id"].iloc[row]) for row in rows}
    records = (
        _Record(
            int(row), names[int(row)], int(numbers[row]), None if targets is None else targets[k]
        )
        for k, row in enumerate(rows)
    )
    rate, samples = _rate_and_samples(store, options)
    size = _file_size(samples, rate, options.kind, len(labels))
    writer = _Writer(store, work / SIGNALS_FOLDER, options, rate, size)
    start = time.perf_counter()
    with explained(folder):
        written = sum(ordered_map(writer, records, workers, len(rows), f"{FORMAT}: {options.kind}"))
        seconds = time.perf_counter() - start
        _write_lines(work / "patients.tsv", [f"{k}\t{name}" for k, name in enumerate(patients)])
        if labels:
            _write_targets(work, store, splits, labels)
        for name, split in splits.items():
            listed = [names[int(row)] for row in split.rows]
            _write_manifest(work / f"{name}.tsv", folder, listed, samples, options)
        write_json(work / EXPORT_FILE, {"format": FORMAT, "plan": plan, "complete": True})
        if work != folder:
            replace_folder(work, folder, _OWN_FILES.__contains__)
    counts = {name: len(split.rows) for name, split in splits.items()}
    return ExportSummary(folder, counts, written, len(rows) - written, seconds)


def _check(options: ExportOptions, splits: dict[str, Split], store: Store) -> tuple[str, ...]:
    """Return the labels to write, after checking what was asked for."""
    if options.kind not in KINDS or options.scale not in SCALES:
        raise StoreError(
            f"kind {options.kind!r} must be one of {', '.join(KINDS)}, and scale "
            f"{options.scale!r} one of {', '.join(SCALES)}"
        )
    for split in splits.values():
        split.require_leads(options.leads)
    rate = options.sample_rate or store.info.sample_rate
    if not LOWEST_RATE <= rate <= store.info.sample_rate:
        raise StoreError(
            f"{store.path}: a sample rate of {rate:g} Hz is not between {LOWEST_RATE:g} and the "
            f"store's {store.info.sample_rate:g}"
        )
    _, samples = _rate_and_samples(store, options)
    if options.kind == "cmsc" and samples % 2:
        raise StoreError(f"{store.path}: records of {samples} samples have no halves")
    if options.kind != "classification":
        return ()
    sets = store.info.label_sets
    if options.label_set not in sets:
        asked = f"no label set {options.label_set!r}" if options.label_set else "several label sets"
        raise StoreError(
            f"{store.path} has {asked}; name one with --label-set: "
            f"{', '.join(sets) or 'it has none, the database is unlabelled'}"
        )
    return sets[options.label_set]


def _rate_and_samples(store: Store, options: ExportOptions) -> tuple[float, int]:
    rate = options.sample_rate or store.info.sample_rate
    ratio = resampling_ratio(store.info.sample_rate, rate)
    return rate, -(-store.info.samples * ratio.numerator // ratio.denominator)


def _begin(folder: Path, plan: dict[str, Any], overwrite: bool) -> Path:
    """Return the folder to write in: *folder*, or another where it is to take the place of what is
    there. What is in it is the same export, begun before."""
    require_folder(folder)
    put_back(folder)
    sweep(folder / EXPORT_FILE)  # or a run killed at its very beginning makes it no export
    if folder.exists() and any(folder.iterdir()):
        try:
            found = _read_plan(folder)
        except (OSError, ValueError, KeyError, TypeError):
            raise StoreError(
                f"{folder}: is not an export (no readable {EXPORT_FILE}), so nothing is written "
                "there; give another folder"
            ) from None
        different = [name for name in plan if found.get(name) != plan[name]]
        if not different:
            return folder
        if not overwrite:
            what = [
                f"{name} {found.get(name)!r} there, {plan[name]!r} now"
                for name in different
                if name != "digest"
            ]
            raise StoreError(
                f"{folder}: holds another export ({'; '.join(what) or 'the store has changed'}); "
                "give another folder, or replace it with --overwrite"
            )
        folder = _new_folder(folder, plan)
    write_json(folder / EXPORT_FILE, {"format": FORMAT, "plan": plan, "complete": False})
    return folder


def _new_folder(folder: Path, plan: dict[str, Any]) -> Path:
    """Return where an export is made that is to replace another, without one of something else."""
    new = folder.with_name(f".{folder.name}.new")
    try:
        same = _read_plan(new) == plan
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        remove(new)
    return new


def _read_plan(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / EXPORT_FILE).read_text(encoding="utf-8"))["plan"])


def _digest(store: Store, splits: dict[str, Split]) -> str:
    """Return a digest of everything that decides about the files, the signals by their date."""
    digest = hashlib.sha256()
    signals = (store.path / SIGNALS_FILE).stat()
    described = {**store.info.to_dict(), "size": signals.st_size, "changed": signals.st_mtime_ns}
    digest.update(json.dumps(described, sort_keys=True).encode())
    digest.update((store.path / RECORDS_FILE).read_bytes())
    for name, split in splits.items():
        digest.update(name.encode() + split.rows.tobytes())
    return digest.hexdigest()


def _number_patients(store: Store) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the patients, and for each row the number of its patient: the files hold integers."""
    names, numbers = np.unique(
        store.records["patient_id"].to_numpy(dtype=object).astype(str), return_inverse=True
    )
    return names.tolist(), numbers


def _name(row: int, record_id: str) -> str:
    """Return a record's path below the folder of signals, without suffix."""
    name = quote(record_id, safe="")
    if len(name) > _LONGEST_NAME:
        # No quoted name looks like this.
        name = f"%row{row}"
    return f"{row // _PER_FOLDER:04d}/{name}"


def _contents(
    feats: npt.NDArray[np.float32], record: _Record, kind: str, rate: float
) -> list[dict[str, Any]]:
    """Return what each file of a record holds, by the names that the toolkit's datasets ask for."""
    segments = 2 if kind == "cmsc" else 1
    contents = []
    for segment, part in enumerate(np.split(feats, segments, axis=-1)):
        content: dict[str, Any] = {
            "feats": part,
            "curr_sample_rate": int(rate) if rate == int(rate) else rate,
            "curr_sample_size": part.shape[-1],
            "patient_id": record.patient,
        }
        if kind == "cmsc":
            content["segment_i"] = segment
        if record.target is not None:
            content["label"] = record.target[None, :]
            # For the task's label_file, and here alone: in pre-training (CMSC, 3KG) the toolkit
            # takes an idx for the patient where there is one.
            content["idx"] = record.row
        contents.append(content)
    return contents


def _mat(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, content)
    return buffer.getvalue()


def _file_size(samples: int, rate: float, kind: str, labels: int) -> int:
    """Return the size of every file; it depends on shapes and types alone."""
    target = np.zeros(labels, dtype=np.float32) if labels else None
    empty = np.zeros((len(STANDARD_LEADS), samples), dtype=np.float32)
    return len(_mat(_contents(empty, _Record(0, "", 0, target), kind, rate)[0]))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _write_manifest(
    path: Path, folder: Path, names: Sequence[str], samples: int, options: ExportOptions
) -> None:
    root = str(folder / SIGNALS_FOLDER)
    if options.kind == "cmsc":
        leads = len(STANDARD_LEADS)
        lines = [root, "mat", *(f"{name}\t{samples // 2}\t{leads}\t0,1" for name in names)]
    else:
        lines = [root, *(f"{name}.mat\t{samples}" for name in names)]
    _write_lines(path, lines)


def _write_targets(
    folder: Path, store: Store, splits: dict[str, Split], labels: Sequence[str]
) -> None:
    """Write the targets by idx, for the task's label_file, and what the columns are."""
    with whole_file(folder / "y.npy") as temporary:
        np.save(temporary, store.targets(np.arange(len(store)), labels))
    counts = [
        store.targets(split.rows, labels).sum(axis=0).astype(int) for split in splits.values()
    ]
    lines = [",".join(["name", *(f"positives_{split}" for split in splits)])]
    for k, label in enumerate(labels):
        lines.append(",".join([f'"{label}"', *(str(count[k]) for count in counts)]))
    _write_lines(folder / "labels.csv", lines)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
