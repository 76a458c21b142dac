"""``selfmis benchmark data``: from records to a store, and from the store to batches."""

from __future__ import annotations

import argparse
import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.profiling.benchmark import Benchmark, BenchmarkError
from selfmis_plugin.utils.arguments import add_json
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.parallel import usable_cores

if TYPE_CHECKING:
    from selfmis_plugin.profiling.data_speed import ReadingSpeeds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options on *parser*."""
    parser.add_argument(
        "--records", type=int, default=1000, metavar="N", help="records (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="length of each record (default: 10)"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="turns that are timed (default: %(default)s)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=usable_cores(),
        metavar="N",
        help="most processes to prepare with (default: the usable cores, %(default)s)",
    )
    parser.add_argument(
        "--growth",
        action="store_true",
        help="only prepare a quarter, a half and all of the records with --workers processes",
    )
    add_json(parser)
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="empty folder for the data, which is then kept"
    )


def run(options: argparse.Namespace) -> int:
    """Measure, print the table and write the figures."""
    if min(options.records, options.rounds, options.workers) < 1 or not options.seconds > 0:
        raise BenchmarkError("--records, --rounds, --workers and --seconds must be above zero")
    from selfmis_plugin.profiling.data_speed import compare_speeds, growth
    from selfmis_plugin.profiling.machine import describe_machine
    from selfmis_plugin.profiling.mimic_folder import write_mimic_folder

    # Importing a toolkit turns every library's log on: wfdb opens files through the first of these,
    # the second compiles the filter.
    reading = None if options.growth else _reading_speeds()
    for name in ("fsspec", "numba"):
        logging.getLogger(name).setLevel(logging.WARNING)
    machine = describe_machine()
    print("; ".join(f"{name} {value}" for name, value in machine.items()))
    with _folder(options.folder) as folder:
        records = write_mimic_folder(folder / "mimic-iv-ecg", options.records, options.seconds)
        print(f"{len(records):,} records of {options.seconds:g} s, 12 leads, 500 Hz, format 16")
        figures = compare_speeds(folder, records, options.rounds, reading) if reading else {}
        figures |= growth(folder, len(records), options.workers, by_workers=not options.growth)
    if options.json:
        described = {"records": len(records), "seconds": options.seconds}
        write_json(options.json, {"machine": machine, **described, **figures})
    return 0


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="selfmis-benchmark-") as name:
        yield Path(name)


def _reading_speeds() -> ReadingSpeeds:
    """Return what reads through the plugin's data set, which is one of the host's."""
    try:
        from selfmis_plugin.profiling.reading_speed import reading_speeds
    except RuntimeError as error:
        raise BenchmarkError(str(error)) from error
    return reading_speeds


BENCHMARK = Benchmark(
    name="data",
    title="preparation against wfdb, reading against .mat files, growth and projection",
    add_arguments=add_arguments,
    run=run,
)
