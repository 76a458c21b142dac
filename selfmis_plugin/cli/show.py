"""``selfmis show``: look at a store or manifests of one, or at one record."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.utils.arguments import picture
from selfmis_plugin.utils.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from selfmis_plugin.data.overview import Overview
    from selfmis_plugin.data.recording import Recording
    from selfmis_plugin.data.store import Store

#: How a record's leads are laid out on the paper.
LAYOUTS = ("3x4", "12x1")

#: Mean difference of a recording prepared again, against the record's standard deviation, of which
#: there are at least so many microvolts. A view that was resampled twice is far below it.
_MOST_UNLIKE, _LEAST_DEVIATION = 0.1, 20.0

#: Characters of labels that fit above the paper.
_LONGEST_LABELS = 110


def main(argv: Sequence[str]) -> int:
    """Draw what the arguments say; return the exit status."""
    reads = parser()
    options = reads.parse_args(argv)
    if options.raw is not None and options.record is None:
        reads.error("--raw needs --record")
    if options.layout is not None and options.record is None:
        reads.error("--layout is of a record's leads: give --record")
    if options.all_labels and options.record is not None:
        reads.error("--all-labels is of an overview: leave out --record")
    from selfmis_plugin.data.overview import MOST_LABELS, overview_lines
    from selfmis_plugin.visualization.overview import draw_overview

    lines = []
    try:
        if options.record is None:
            overview = _overview(options.store)
            lines = overview_lines(overview, None if options.all_labels else MOST_LABELS)
            figure = draw_overview(overview, dpi=options.dpi)
        else:
            figure = _draw_record(_store(options.store), options)
        name = f"{options.store.absolute().name}-{_file_name(options.record)}.png"
        out = options.out or Path(name)
        with whole_file(out) as temporary:
            figure.savefig(temporary)
    except (OSError, ValueError) as error:
        print(f"selfmis show: {error}", file=sys.stderr)
        return 1
    print("\n".join([*lines, str(out)]))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis show",
        description="Draw a store's overview (and print it as a table), or one of its records on "
        "millimetre paper: 25 mm/s, 10 mm/mV.",
    )
    parser.add_argument("store", type=Path, metavar="STORE", help="a store, or manifests of one")
    parser.add_argument(
        "--record",
        metavar="ID",
        help="draw this record, with or without the zeros before its number; see train.tsv for "
        "names",
    )
    parser.add_argument(
        "--all-labels", action="store_true", help="list every label, not the commonest alone"
    )
    parser.add_argument(
        "--raw",
        type=Path,
        metavar="ROOT",
        help="the database's folder: draw the record also as it was before preparation",
    )
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        help="3x4: 2.5 s of each lead and a rhythm strip; 12x1: ten seconds of each lead "
        f"(default: {LAYOUTS[0]})",
    )
    parser.add_argument("--dpi", type=_dpi, default=150, help="dots an inch (default: %(default)s)")
    parser.add_argument(
        "--out",
        "--dest",
        type=picture,
        metavar="FILE",
        help="picture to write: .png, .pdf, .svg and others, by its name (default: "
        "STORE-overview.png or STORE-ID.png in this folder)",
    )
    return parser


def _overview(folder: Path) -> Overview:
    from selfmis_plugin.data.overview import summarise, summarise_manifests
    from selfmis_plugin.data.store import Store

    return summarise_manifests(folder) if _is_manifests(folder) else summarise(Store.open(folder))


def _store(folder: Path) -> Store:
    from selfmis_plugin.data.splits import open_splits
    from selfmis_plugin.data.store import Store

    if _is_manifests(folder):
        return next(iter(open_splits(folder).values())).store
    return Store.open(folder)


def _is_manifests(folder: Path) -> bool:
    from selfmis_plugin.data.split_names import SPLITS
    from selfmis_plugin.data.store import INFO_FILE

    manifests = [folder / f"{split}.tsv" for split in SPLITS]
    return not (folder / INFO_FILE).exists() and any(map(Path.is_file, manifests))


def _draw_record(store: Store, options: argparse.Namespace) -> Figure:
    from selfmis_plugin.data.preprocessing import centre
    from selfmis_plugin.data.recording import RecordError
    from selfmis_plugin.preparation.databases.ecg_files import NAME as ECG_FILES
    from selfmis_plugin.preparation.wfdb.reader import header_path, read_recording
    from selfmis_plugin.visualization.ecg import Panel, draw_panels

    row = store.find(options.record)
    record = store.records.iloc[row]
    labels = ", ".join(record["labels"]) or "no labels"
    if len(labels) > _LONGEST_LABELS:
        labels = labels[:_LONGEST_LABELS].rsplit(", ", 1)[0] + ", ..."
    rate = f"{store.info.sample_rate:g} Hz"
    title = f"{record['record_id']}   {store.info.database}, {record['split']}"
    absent = {lead for k, lead in enumerate(store.info.leads) if not record["lead_mask"] >> k & 1}
    prepared = Panel(
        signal=store.read([row])[0],
        rate=store.info.sample_rate,
        leads=store.info.leads,
        absent=frozenset(absent),
        title=f"{title}, {rate}",
        subtitle=labels,
    )
    panels = [prepared]
    if options.raw is not None:
        if store.info.database == ECG_FILES:
            raise RecordError(
                "no path",
                f"--raw cannot be used: {store.path} was made by ecg_files, whose stores keep no "
                "file's path, so that no name gets out. `selfmis predict FILE --png` draws a file",
            )
        source = options.raw / str(record["source"])
        if not header_path(source).is_file():
            raise RecordError(
                "missing header",
                f"{source}.hea: no such file: give the folder that the store was prepared from",
            )
        recording = read_recording(source)
        _check_same(store, row, recording, source)
        # The same ten seconds as preparation takes.
        length = recording.microvolts.shape[-1]
        start, stop = centre(length, round(store.info.seconds * recording.rate))
        before = Panel(
            signal=recording.microvolts[:, start:stop],
            rate=recording.rate,
            leads=recording.leads,
            title=f"{title}, {recording.rate:g} Hz: before preparation",
            subtitle=f"{labels}   {record['source']}",
        )
        done = record["repaired"] or "nothing repaired"
        subtitle = f"{done}; filter {store.info.filter}"
        panels = [
            before,
            dataclasses.replace(prepared, title=f"after preparation, {rate}", subtitle=subtitle),
        ]
    return draw_panels(panels, layout=options.layout or LAYOUTS[0], dpi=options.dpi)


def _check_same(store: Store, row: int, recording: Recording, source: Path) -> None:
    """Refuse a recording that is not what the store's record was prepared from, such as that of
    another database whose files have the same names."""
    import numpy as np

    from selfmis_plugin.data.leads import STANDARD_LEADS
    from selfmis_plugin.data.recording import RecordError
    from selfmis_plugin.preparation.record import prepare_recording

    info = store.info
    again = prepare_recording(
        recording, str(source), (), info.sample_rate, info.seconds, info.filter
    ).signal
    stored = store.read([row])[0].astype(np.float64)
    known = [lead in STANDARD_LEADS for lead in info.leads]
    places = [STANDARD_LEADS.index(lead) for lead in info.leads if lead in STANDARD_LEADS]
    difference = float(np.abs(again[places] - stored[known]).mean()) if places else 0.0
    if difference > _MOST_UNLIKE * max(_LEAST_DEVIATION, float(stored.std())):
        raise RecordError(
            "another recording",
            f"{source}.hea: its middle {info.seconds:g} s are not what this record was prepared "
            f"from: prepared again they are {difference:.0f} microvolts off on average. Give the "
            "folder that the store was prepared from; of recordings that were cut into several "
            "records none can be drawn with --raw",
        )


def _file_name(record: str | None) -> str:
    if record is None:
        return "overview"
    return "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in record)


def _dpi(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if not 30 <= value <= 1200:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 30 to 1200")
    return value
