"""From records to a store, and from the store to batches: the two tables, and their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from selfmis_plugin.data.store import Store
from selfmis_plugin.profiling.mimic_folder import write_mat_files
from selfmis_plugin.profiling.preparation_speed import (
    Preparation,
    filtered_speeds,
    grow,
    preparation_speeds,
    preparing,
)
from selfmis_plugin.profiling.timing import Speed, ratio

__all__ = ["compare_speeds", "growth"]

ReadingSpeeds = Callable[[Store, Any, int], dict[str, Speed]]

#: Records of MIMIC-IV-ECG 1.0.
MIMIC_RECORDS = 800_035

_RATIOS = {
    "prepare_vs_wfdb": ("prepare", "wfdb"),
    "prepare_filtered_vs_reference": ("prepare_filtered", "filter_reference"),
    "read12_vs_mat": ("read12", "mat12"),
    "read1_vs_mat": ("read1", "mat1"),
    "read12_normalised_vs_mat": ("read_normalised12", "mat12"),
    "read1_normalised_vs_mat": ("read_normalised1", "mat1"),
    "read12_vs_map": ("read12", "map12"),
    "read1_vs_map": ("read1", "map1"),
}
_WAYS = {
    "wfdb": "wfdb.rdrecord alone",
    "prepare": "selfmis prepare, read to store",
    "filter_reference": "wfdb and ECGFounder's filter in SciPy",
    "prepare_filtered": "selfmis prepare --filter ecgfounder",
    "mat12": ".mat as fairseq-signals, 12 leads",
    "read12": "batches of 128, 12 leads, int16",
    "read_normalised12": "  with z-score on the CPU",
    "map12": "  memory map in order (limit)",
    "mat1": ".mat as fairseq-signals, lead I",
    "read1": "batches of 128, lead I, int16",
    "read_normalised1": "  with z-score on the CPU",
    "map1": "  memory map in order (limit)",
}
_REFERENCES = {
    "prepare": "prepare_vs_wfdb",
    "prepare_filtered": "prepare_filtered_vs_reference",
    "read12": "read12_vs_mat",
    "read_normalised12": "read12_normalised_vs_mat",
    "read1": "read1_vs_mat",
    "read_normalised1": "read1_normalised_vs_mat",
}


def compare_speeds(
    folder: Path, records: Sequence[Path], rounds: int, reading_speeds: ReadingSpeeds
) -> dict[str, Any]:
    """Time preparation and reading on one core, and print the table.

    Parameters
    ----------
    folder
        Where the records lie, and stores are written.
    records
        The records.
    rounds
        Turns that are timed.
    reading_speeds
        :func:`selfmis_plugin.profiling.reading_speed.reading_speeds`, which needs a toolkit.

    Returns
    -------
    dict
        Ratios and records a second, JSON-ready.
    """
    database = folder / "mimic-iv-ecg"
    speeds = preparation_speeds(database, records, folder, rounds)
    speeds |= filtered_speeds(database, records, folder, rounds)
    preparing(database, folder / "store")()
    store = Store.open(folder / "store")
    speeds |= reading_speeds(store, write_mat_files(folder / "mat", store), rounds)
    ratios = {name: ratio(speeds, *pair) for name, pair in _RATIOS.items()}
    _print_speeds(speeds, ratios)
    rates = {
        name: {"median": speed.median, "slowest": speed.spread[0], "fastest": speed.spread[1]}
        for name, speed in speeds.items()
    }
    return {**ratios, "records_per_second": rates}


def _print_speeds(speeds: Mapping[str, Speed], ratios: Mapping[str, float]) -> None:
    print(f"\n{'one core, warm':38}{'records/s':>12}{'slowest - fastest':>22}{'ratio':>9}")
    for name, words in _WAYS.items():
        speed = speeds[name]
        spread = " - ".join(f"{value:,.0f}" for value in speed.spread)
        times = f"{ratios[_REFERENCES[name]]:.1f} x" if name in _REFERENCES else ""
        print(f"{words:38}{speed.median:12,.0f}{spread:>22}{times:>9}")


def growth(folder: Path, records: int, most_workers: int, by_workers: bool) -> dict[str, Any]:
    """Prepare more and more records, then with more and more processes, and print the table."""
    database = folder / "mimic-iv-ecg"
    sizes = sorted({max(1, records // 4), max(1, records // 2), records})
    print(f"\n{'preparation':38}{'records/s':>12}{'peak memory':>14}{'800,035 records':>18}")
    workers = 1 if by_workers else most_workers
    by_size = _shown(grow(database, folder, sizes, workers))
    steps: list[int] = []
    if by_workers:
        steps = sorted({*(2**k for k in range(1, most_workers.bit_length())), most_workers} - {1})
    scaled = [by_size[-1]] if workers == 1 else []
    for step in steps:
        preparing(database, folder / "started", workers=step)()  # the processes have to start
        scaled += _shown(grow(database, folder, [records], step))
    return {
        "growth_records": [_figures(one) for one in by_size],
        "growth_workers": [_figures(one) for one in scaled],
        "projected_hours_800035": {str(one.workers): _hours(one) for one in [by_size[-1], *scaled]},
    }


def _shown(preparations: Iterator[Preparation]) -> list[Preparation]:
    done = []
    for one in preparations:
        what = f"{one.records:,} records, {one.workers} worker{'s' * (one.workers > 1)}"
        memory = f"{one.peak_memory / 2**20:,.0f} MiB"
        print(f"{what:38}{one.rate:12,.0f}{memory:>14}{_hours(one):16.2f} h", flush=True)
        done.append(one)
    return done


def _hours(one: Preparation) -> float:
    return MIMIC_RECORDS / one.rate / 3600


def _figures(one: Preparation) -> dict[str, float]:
    return {
        "records": one.records,
        "workers": one.workers,
        "seconds": one.seconds,
        "records_per_second": one.rate,
        "peak_memory_bytes": one.peak_memory,
        "projected_hours_800035": _hours(one),
    }
