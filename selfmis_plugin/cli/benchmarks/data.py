"""``selfmis benchmark data``: from records to a store, and from the store to batches."""

from __future__ import annotations

import argparse
import contextlib
import logging
import statistics
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
    from selfmis_plugin.profiling.shuffle_speed import OrderSpeed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options on *parser*."""
    parser.add_argument(
        "--records", type=int, default=1000, metavar="N", help="records (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, help="length of each record (default: 10)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="turns that are timed (default: %(default)s)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help=f"most processes to prepare with (default: the usable cores, {usable_cores()})",
    )
    parser.add_argument(
        "--growth",
        action="store_true",
        help="only prepare a quarter, a half and all of the records with --workers processes",
    )
    parser.add_argument(
        "--order",
        action="store_true",
        help="only read lead I of the records from the disk, nothing of it in the system's cache: "
        "in any order, and in blocks of neighbours (give 40000 or more)",
    )
    parser.add_argument(
        "--view",
        action="store_true",
        help="only read lead I of the records from the disk likewise: from a store of twelve leads "
        "at 500 Hz, and from its view of lead I at 100 Hz (give 10000 or more)",
    )
    add_json(parser)
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="empty folder for the data, which is then kept"
    )


def run(options: argparse.Namespace) -> int:
    """Measure, print the table and write the figures."""
    alone = [name for name in ("growth", "order", "view") if getattr(options, name)]
    if len(alone) > 1:
        raise BenchmarkError(f"--{' and --'.join(alone)} are benchmarks of their own: give one")
    if (options.order or options.view) and (options.seconds, options.workers) != (None, None):
        raise BenchmarkError(
            f"--{alone[0]} reads records of 10 s in one process: leave out --seconds and --workers"
        )
    if options.seconds is None:
        options.seconds = 10.0
    if options.workers is None:
        options.workers = usable_cores()
    if min(options.records, options.rounds, options.workers) < 1 or not options.seconds > 0:
        raise BenchmarkError("--records, --rounds, --workers and --seconds must be above zero")
    if options.order:
        return _run_order(options)
    if options.view:
        return _run_view(options)
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


def _run_order(options: argparse.Namespace) -> int:
    """Compare the orders in which an epoch may read a store."""
    machine = _machine_that_forgets("--order")
    from selfmis_plugin.profiling import shuffle_speed

    with _folder(options.folder) as folder:
        store = shuffle_speed.write_single_lead_store(folder / "lead-I", options.records)
        size = (store / "signals.i16").stat().st_size
        print(
            f"{options.records:,} records of 10 s, lead I at 500 Hz, {size / 1e6:,.0f} MB; batches "
            f"of {shuffle_speed.BATCH}; medians of {options.rounds} epochs (slowest to fastest)\n\n"
            f"{'from the disk, an epoch each':38}{'ECG/s':>10}{'slowest - fastest':>22}"
            f"{'read / used':>13}"
        )
        found = shuffle_speed.compare_orders(store, options.rounds)
    words = {
        "exact": "any order",
        "block": f"blocks of {shuffle_speed.BLOCK}, windows of {shuffle_speed.WINDOW:,}",
    }
    figures = {name: speed.to_dict() for name, speed in found.items()}
    for name, speed in found.items():
        read = figures[name]["read_per_used"]
        print(f"{words[name]:38}{_spread(speed)}{'unknown' if read is None else f'{read:.2f}':>13}")
    pairs = zip(found["block"].ecg_per_s, found["exact"].ecg_per_s, strict=True)
    times = statistics.median(block / exact for block, exact in pairs)
    print(f"\nblocks are {times:.2f} times as fast")
    if options.json:
        described = {"records": options.records, "bytes": size, "machine": machine}
        write_json(options.json, {"block_vs_exact": times, **figures, **described})
    return 0


def _run_view(options: argparse.Namespace) -> int:
    """Compare a store with its view."""
    machine = _machine_that_forgets("--view")
    from selfmis_plugin.profiling import shuffle_speed, view_speed

    with _folder(options.folder) as folder:
        store, view = view_speed.write_store_and_view(folder, options.records)
        places = {"store": store, "view": view}
        sizes = {name: view_speed.size_of(place) for name, place in places.items()}
        used = {name: view_speed.bytes_of_lead(place) for name, place in places.items()}
        print(
            f"{options.records:,} records of 10 s; batches of {shuffle_speed.BATCH}; medians of "
            f"{options.rounds} epochs (slowest to fastest)\n\n"
            f"{'lead I, any order, from the disk':38}{'ECG/s':>10}{'slowest - fastest':>22}"
            f"{'kB read an ECG':>16}{'size':>12}"
        )
        found = view_speed.compare_view(store, view, options.rounds)
    words = {
        "store": "store, 12 leads, 500 Hz",
        "view": f"view, lead I, {view_speed.RATE} Hz",
    }
    figures: dict[str, dict[str, object]] = {}
    for name, speed in found.items():
        measured = speed.to_dict()
        share = measured["read_per_used"]
        read = used[name] * share if isinstance(share, float) else None
        figures[name] = {**measured, "bytes": sizes[name], "read_per_ecg": read}
        shown = "unknown" if read is None else f"{read / 1e3:.1f}"
        print(f"{words[name]:38}{_spread(speed)}{shown:>16}{sizes[name] / 1e6:>9,.0f} MB")
    pairs = zip(found["view"].ecg_per_s, found["store"].ecg_per_s, strict=True)
    times = statistics.median(view_rate / store_rate for view_rate, store_rate in pairs)
    print(f"\nthe view is read {times:.2f} times as fast")
    if options.json:
        described = {"records": options.records, "machine": machine}
        write_json(options.json, {"view_read_vs_store": times, **figures, **described})
    return 0


def _machine_that_forgets(option: str) -> dict[str, str]:
    """Print what the machine is; refuse one that reads everything out of its memory."""
    try:
        from selfmis_plugin.profiling import shuffle_speed  # noqa: F401
    except RuntimeError as error:
        raise BenchmarkError(str(error)) from error
    from selfmis_plugin.profiling.machine import describe_machine
    from selfmis_plugin.profiling.page_cache import can_forget

    if not can_forget():
        raise BenchmarkError(f"{option}: this system drops nothing of its cache when asked to")
    machine = describe_machine()
    print("; ".join(f"{name} {value}" for name, value in machine.items()))
    return machine


def _spread(speed: OrderSpeed) -> str:
    rates = speed.ecg_per_s
    between = f"{min(rates):,.0f} - {max(rates):,.0f}"
    return f"{statistics.median(rates):>10,.0f}{between:>22}"


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
