"""``selfmis benchmark epoch``: from files to the last epoch's loss, against a plain training."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.profiling.benchmark import SIZES, Benchmark, BenchmarkError
from selfmis_plugin.utils import arguments
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.messages import without_messages

if TYPE_CHECKING:
    from selfmis_plugin.profiling.epochs.comparison import Comparison
    from selfmis_plugin.profiling.epochs.runs import Run

#: Epochs after which the sides are compared.
EPOCHS = (1, 2, 20)
BOTH = "both"
FILTERS = ("none", "ecgfounder")
#: Records that are read where nobody says how many.
RECORDS = {"small": 20_000, "full": 256}
#: Records of a batch: the small config's, and fewer at full size, whose few records make batches
#: enough for reading and training to overlap.
BATCHES = {"small": 64, "full": 32}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark."""
    parser.add_argument(
        "--size", choices=(*SIZES, BOTH), default=BOTH, help="encoders (default: both)"
    )
    parser.add_argument(
        "--records",
        type=arguments.whole(1),
        metavar="N",
        help=f"records of the small size, whose trainings run whole (default: {RECORDS['small']})",
    )
    parser.add_argument(
        "--full-records",
        type=arguments.whole(1),
        metavar="N",
        help="records of the full size, of which a first and a later epoch are timed "
        f"(default: {RECORDS['full']})",
    )
    parser.add_argument(
        "--epochs",
        type=arguments.whole_numbers,
        metavar="LIST",
        help="epochs of the trainings that run whole; what of 1, 2 and 20 is not among them is "
        "computed from the epochs of the longest, and called so (default: 1,2,20)",
    )
    parser.add_argument(
        "--plain-epochs",
        type=arguments.whole_numbers,
        metavar="LIST",
        help="the same of the plain training, whose 20 epochs take long (default: as --epochs)",
    )
    parser.add_argument(
        "--filter",
        choices=(*FILTERS, BOTH),
        default=BOTH,
        help="records as they are, ECGFounder's filter, or one after the other (default: both)",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="what the encoders compute in, on both sides (default: float32)",
    )
    parser.add_argument(
        "--threads",
        type=arguments.whole(1),
        help="threads of either training (default: what selfmis train takes for the encoder)",
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="folder whose records are kept and used again"
    )
    arguments.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Train both ways, print the tables and the ratios, write them where asked."""
    _refuse_needless(options)
    epochs = options.epochs or EPOCHS
    plain_epochs = options.plain_epochs or epochs
    for name, asked in (("--epochs", epochs), ("--plain-epochs", plain_epochs)):
        if max(asked) < 2:
            raise BenchmarkError(f"{name}: the longest must have 2 epochs at least: a later one")
    from selfmis_plugin.profiling.epochs.comparison import compare_per_ecg, compare_whole
    from selfmis_plugin.profiling.epochs.runs import Plan
    from selfmis_plugin.profiling.machine import describe_machine
    from selfmis_plugin.synthetic import write_cohort

    machine = describe_machine()
    for name, text in machine.items():
        if name != "threads":
            print(f"{name:12}{text}")
    figures: dict[str, object] = {}
    details: dict[str, object] = {}
    computed: list[str] = []
    sizes = SIZES[::-1] if options.size == BOTH else (options.size,)
    filters = FILTERS if options.filter == BOTH else (options.filter,)
    with _folder(options.folder) as folder, without_messages():
        for size in sizes:
            asked_for = options.records if size == "small" else options.full_records
            records = asked_for or RECORDS[size]
            database = folder / f"records-{records}"
            write_cohort(database, "mimic-iv-ecg", records)
            for filter in filters:
                plan = Plan(
                    size,
                    database,
                    folder / "work",
                    filter != "none",
                    options.precision == "bfloat16",
                    BATCHES[size],
                    options.threads or _threads(size),
                    forced=options.threads is not None,
                )
                _print_head(plan.size, records, filter, plan.batch, options.precision, plan.threads)
                if size == "small":
                    found = compare_whole(plan, records, epochs, plain_epochs, _saying(records))
                else:
                    found = compare_per_ecg(plan, records, _saying(records))
                end = _ending(size, filter, options.precision)
                ratios, these = _ratios(found, end)
                _print_ratios(found)
                figures |= ratios
                computed += these
                details[end.strip("_") or "full"] = found.to_dict()
    if options.json is not None:
        setting = {"size": options.size, "precision": options.precision}
        setting |= {"epochs": epochs, "plain_epochs": plain_epochs}
        found_all = {**figures, "computed": computed, "machine": machine, "setting": setting}
        write_json(options.json, {**found_all, "runs": details})
    return 0


def _refuse_needless(options: argparse.Namespace) -> None:
    """Refuse what is about a size that is not measured."""
    of_size = {"small": ("records", "epochs", "plain_epochs"), "full": ("full_records",)}
    for size, keys in of_size.items():
        for key in keys:
            if options.size not in (size, BOTH) and getattr(options, key) is not None:
                raise BenchmarkError(
                    f"--{key.replace('_', '-')} is of the {size} size, which is not measured: "
                    f"leave it out, or give --size {size} or {BOTH}"
                )


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="selfmis-benchmark-") as name:
        yield Path(name)


def _threads(size: str) -> int:
    """Return the threads that a training of both encoders takes by itself."""
    import torch

    from selfmis_plugin.nn.threads import suitable_threads
    from selfmis_plugin.profiling.epochs.plain import PlainModel
    from selfmis_plugin.profiling.step_ways import CONFIGS
    from selfmis_plugin.utils.threads import said_by_user

    if said_by_user():
        return int(torch.get_num_threads())
    return suitable_threads(PlainModel(CONFIGS[size]))


def _ending(size: str, filter: str, precision: str) -> str:
    """Return what the names of figures end in."""
    parts = ("filtered" * (filter != "none"), "bf16" * (precision != "float32"))
    return "".join(f"_{part}" for part in (*parts, "small" * (size == "small")) if part)


def _ratios(found: Comparison, end: str) -> tuple[dict[str, float], list[str]]:
    """Return the figures by name, and the names of those that are computed."""
    figures: dict[str, float] = {}
    computed = []
    for epochs in EPOCHS:
        name = f"epoch{epochs}_vs_plain{end}"
        figures[name] = found.ratio(epochs)
        figures[f"{name}_predicted"] = found.predicted.ratio(epochs)
        cpu = None if found.per_ecg else found.cpu_ratio(epochs)
        if cpu is not None:
            figures[f"{name}_cpu"] = cpu
        if found.is_computed(epochs):
            computed.append(name)
    return figures, computed


def _print_head(
    size: str, records: int, filter: str, batch: int, precision: str, threads: int
) -> None:
    filtered = "" if filter == "none" else ", ECGFounder's filter"
    print(
        f"\n{size} size: {records:,} synthetic records of 10 s, 12 leads, 500 Hz, as WFDB files"
        f"{filtered}; batches of {batch}, {precision}, {threads} thread{'s' * (threads > 1)}\n"
        f"{'':8}{'epochs':>7}{'seconds':>9}{'ECG/s':>8}{'CPU s':>8}{'memory':>11}"
        f"{'read':>11}{'from disk':>11}{'first':>9}{'later':>9}  last loss",
        flush=True,
    )


def _saying(records: int) -> Callable[[str, Run], None]:
    def say(side: str, run: Run) -> None:
        spent = run.spent
        cpu = "unknown" if spent.cpu_seconds is None else f"{spent.cpu_seconds:,.0f}"
        later = run.each[1:]
        print(
            f"{side:8}{run.epochs:>7}{spent.seconds:>9,.1f}"
            f"{records * run.epochs / spent.seconds:>8,.0f}{cpu:>8}"
            f"{_mib(spent.peak_memory):>11}{_mib(spent.read_by_calls):>11}"
            f"{_mib(spent.read_from_disk):>11}{run.each[0]:>7.1f} s"
            f"{sum(later) / len(later) if later else 0:>7.1f} s  {run.losses[-1]:.3f}",
            flush=True,
        )

    return say


def _print_ratios(found: Comparison) -> None:
    what = "seconds of first and later epochs" if found.per_ecg else "whole commands"
    print(f"\ntimes as fast as plain ({what}):")
    for epochs in EPOCHS:
        cpu = None if found.per_ecg else found.cpu_ratio(epochs)
        parts = ["computed"] if found.is_computed(epochs) else []
        parts.append(f"{found.predicted.ratio(epochs):.2f} predicted from steps and reading")
        parts += [f"{cpu:.2f} in processor time"] if cpu is not None else []
        plural = "s" * (epochs > 1)
        print(f"  {epochs:>2} epoch{plural:1} {found.ratio(epochs):6.2f}  ({'; '.join(parts)})")
    alone = found.predicted
    print(
        "milliseconds an ECG, each alone: "
        f"plain step {1e3 * alone.plain_step:.2f}, reading {1e3 * alone.read:.2f}; our step "
        f"{1e3 * alone.step:.2f}, embedding {1e3 * alone.embed:.2f}, preparing "
        f"{1e3 * alone.prepare:.2f}"
    )


def _mib(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**20:,.0f} MiB"


BENCHMARK = Benchmark(
    name="epoch",
    title="whole epochs, from files to loss, against a plain training that reads with wfdb",
    add_arguments=add_arguments,
    run=run,
)
