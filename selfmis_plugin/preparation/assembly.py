"""Make a store of finished parts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from tqdm import tqdm

from selfmis_plugin.data.fraction_manifests import LabelFraction, apply_fraction
from selfmis_plugin.data.store.writer import StoreLayout, TableWriter, publish, refused_row
from selfmis_plugin.preparation.made import InputsDigest, Made
from selfmis_plugin.preparation.parts import Part, PartsFolder, Plan, PreparationError, shares_of
from selfmis_plugin.preparation.signal_slots import move
from selfmis_plugin.preparation.summary import SHOWN, Summary, counts
from selfmis_plugin.utils.disk import explained
from selfmis_plugin.utils.files import sync, whole_file

_SHOWN_PARTS = 10


def assemble(
    folder: PartsFolder,
    plan: Plan,
    layout: StoreLayout,
    overwrite: bool,
    made: Made,
    fraction: LabelFraction | None = None,
) -> Summary:
    """Make the store of a folder whose parts are all finished, and remove the folder.

    A run that is killed here leaves a folder from which the next one goes on.

    Parameters
    ----------
    folder
        The folder, which the caller holds alone.
    plan
        Its plan.
    layout
        What the store's signals are.
    overwrite
        Whether to replace a store.
    made
        From what, and how; it is written into the store.
    fraction
        Which of the training records ``train.tsv`` is to list.

    Returns
    -------
    Summary
        What became of the records.

    Raises
    ------
    PreparationError
        If a part is missing or does not go with the others, or no record can be used; the reasons
        for that are then in ``DEST.refused.tsv``.
    StoreError
        If there is a store and *overwrite* is false.
    """
    _check_complete(folder, plan)
    summary = Summary(layout.database, folder.dest)
    summary.left_out.update(plan.database["left out"])
    summary.notes = tuple(plan.database["notes"])
    summary.origins = layout.origins
    if folder.is_published:
        for part in _parts(folder, plan):
            _count(summary, part)
        folder.remove()
        return summary

    sizes = [len(part.rows) for part in _parts(folder, plan)]
    if not any(sizes):
        raise PreparationError(_nothing_left(folder, plan, summary))
    with explained(folder.dest):
        _make(folder, plan, layout, sizes, summary, made, fraction)
        kept = publish(folder.store, folder.dest, overwrite, folder.replaced)
    if kept:
        summary.notes += (f"kept from the store that was replaced: {', '.join(kept)}",)
    folder.remove()
    return summary


def _make(
    folder: PartsFolder,
    plan: Plan,
    layout: StoreLayout,
    sizes: list[int],
    summary: Summary,
    made: Made,
    fraction: LabelFraction | None,
) -> None:
    """Make the store whole in the folder of parts."""
    _close_gaps(folder, plan, layout, sizes)
    os.truncate(folder.signals, sum(sizes) * layout.record_bytes)
    sync(folder.signals)
    folder.clear_store()
    tables = TableWriter(folder.store, layout)
    inputs, listing = InputsDigest(), ""
    try:
        for part in _parts(folder, plan):
            _count(summary, part)
            tables.add(part.rows)
            inputs.add(part.inputs)
            listing = part.listing
            for source, _, reason in part.refused:
                tables.refuse(source, reason)
        tables.finish()
    finally:
        tables.close()
    if fraction is not None and (folder.store / "train.tsv").is_file():
        apply_fraction(folder.store, fraction.fraction, fraction.seed)
    made.write(folder.store, inputs.of(listing), summary.to_dict())
    sync(folder.store)
    if folder.dest.exists():
        shutil.rmtree(folder.replaced, ignore_errors=True)


def _check_complete(folder: PartsFolder, plan: Plan) -> None:
    there = folder.finished()
    missing = [part for part in range(plan.parts) if part not in there]
    if not missing:
        return
    shown = ", ".join(map(str, missing[:_SHOWN_PARTS]))
    more = f" and {len(missing) - _SHOWN_PARTS} more" if len(missing) > _SHOWN_PARTS else ""
    shares = ", ".join(f"--part {share}" for share in shares_of(missing, plan.shares))
    if plan.shares > 1:
        again = f"Run {shares} again, or the same command without --part, which prepares them all"
    else:
        again = "The command that prepares the database prepares them"
    raise PreparationError(
        f"{folder.path}: {len(missing)} of {plan.parts} parts are missing ({shown}{more}). {again}"
    )


def _parts(folder: PartsFolder, plan: Plan) -> Iterator[Part]:
    first, listing = 0, ""
    for index in range(plan.parts):
        path = folder.part_file(index)
        part = Part.read(path, plan.key)
        if part is None:
            raise PreparationError(
                f"{path}: is damaged; remove it, prepare it anew by the same command, and then "
                "make the store"
            )
        if part.before != listing:
            raise PreparationError(
                f"{path}: was prepared from other tables than the parts before it; start anew with "
                "--restart, and leave the database as it is meanwhile"
            )
        first, listing = first + part.listed, part.listing
        yield part
    if first != plan.total:
        raise PreparationError(
            f"{folder.path}: {first} records in the parts, {plan.total} were announced; start "
            "anew with --restart"
        )


def _count(summary: Summary, part: Part) -> None:
    summary.read += part.listed
    summary.stored += len(part.rows)
    summary.splits.update(part.rows.column("split").to_pylist())
    summary.repaired_records += part.repaired_records
    summary.repaired.update(part.repaired)
    summary.refused.update(kind for _, kind, _ in part.refused)
    room = SHOWN - len(summary.examples)
    summary.examples += [(source, reason) for source, _, reason in part.refused[:room]]


def _close_gaps(folder: PartsFolder, plan: Plan, layout: StoreLayout, sizes: list[int]) -> None:
    """Move the records behind a refused one up, so that they follow each other.

    What is moved overwrites its own beginning. If a run is killed meanwhile the signals of that one
    part are lost; it then counts as absent and is prepared again, in its old slots.
    """
    size, slot = layout.record_bytes, plan.part_records
    starts = [0]
    for count in sizes:
        starts.append(starts[-1] + count)
    moving = [k for k, count in enumerate(sizes) if count and starts[k] != k * slot]
    placed = folder.placed()
    if placed is not None:
        moving = [k for k in moving if k >= placed]
    if not moving:
        return
    handle = os.open(folder.signals, os.O_RDWR)
    try:
        for part in tqdm(moving, desc="closing gaps", unit="part", smoothing=0.05):
            folder.note_placing(part)
            move(handle, part * slot * size, starts[part] * size, sizes[part] * size)
            os.fsync(handle)
        folder.note_placing(plan.parts)
    finally:
        os.close(handle)


def _nothing_left(folder: PartsFolder, plan: Plan, summary: Summary) -> str:
    if not plan.total:
        folder.remove()
        return f"{summary.database}: there is no record to prepare"
    path = folder.dest.with_name(folder.dest.name + ".refused.tsv")
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write("source\treason\n")
        for part in _parts(folder, plan):
            _count(summary, part)
            file.writelines(refused_row(source, reason) for source, _, reason in part.refused)
    folder.remove()
    reasons = counts(summary.refused)
    lines = [
        f"{summary.database}: none of {summary.read:,} records can be used{reasons}",
        *(f"    {source}: {reason}" for source, reason in summary.examples),
        f"all reasons are in {path}",
    ]
    return "\n".join(lines)
