"""``selfmis benchmark transfer``: what synthetic hearts alone teach about real records."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfmis_plugin.cli.cohort_option import add_cohort
from selfmis_plugin.cli.training_options import (
    MIN_POSITIVES,
    add_training_options,
    overrides_of,
    refuse_failed,
    refuse_unknown_places,
)
from selfmis_plugin.data.origin import LATEST_COHORT
from selfmis_plugin.profiling.benchmark import Benchmark, BenchmarkError
from selfmis_plugin.utils.arguments import add_json, whole, whole_numbers
from selfmis_plugin.utils.files import write_json
from selfmis_plugin.utils.parallel import usable_cores

#: Records of the cohort that is made where none is given.
RECORDS = 3000
#: What is trained, and can have keys of its own.
_ENCODERS = ("multi_lead_encoder", "single_lead_encoder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="real records to test on: a store such as PTB-XL's, or manifests of one; all that "
        "they list",
    )
    parser.add_argument(
        "--strat-folds",
        type=whole_numbers,
        metavar="FOLDS",
        help="test only on records of these of the store's own folds, such as 1-8",
    )
    parser.add_argument(
        "--train",
        type=Path,
        metavar="STORE",
        help="synthetic records to train on, its train.tsv, and to choose checkpoints by, its "
        "valid.tsv (default: a cohort that is made in DEST)",
    )
    parser.add_argument(
        "--records",
        type=whole(1),
        metavar="N",
        help=f"without --train: records of the cohort that is made (default: {RECORDS})",
    )
    add_cohort(parser, "without --train: ")
    parser.add_argument(
        "--min-positives",
        type=whole(1),
        default=MIN_POSITIVES,
        metavar="N",
        help="tested records that a statement needs for a figure (default: %(default)s)",
    )
    add_training_options(
        parser,
        "one encoder's, such as multi_lead_encoder:optimization.max_epoch=5 or "
        "single_lead_encoder:...",
        "each training",
    )
    add_json(parser)
    parser.add_argument(
        "--dest",
        "--out",
        type=Path,
        default=Path("outputs/benchmark-transfer"),
        help="folder to fill (%(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Train and test what is not done yet, write the report; return the exit status."""
    for key in ("records", "cohort"):
        if options.train is not None and getattr(options, key) is not None:
            raise BenchmarkError(
                f"--{key} is about a cohort that is made: leave it out with --train"
            )
    overrides = overrides_of(options)
    refuse_unknown_places(overrides, _ENCODERS, _ENCODERS)
    # The host is only needed, and only looked for, here.
    try:
        from selfmis_plugin.benchmark.commands import CommandError
        from selfmis_plugin.benchmark.settings import InfarctionError
        from selfmis_plugin.benchmark.transfer import (
            Tested,
            check_tested,
            run_transfer,
            transfer_settings,
        )
        from selfmis_plugin.benchmark.transfer_report import write_transfer_report
    except RuntimeError as error:
        raise BenchmarkError(str(error)) from error
    dest = options.dest.resolve()
    tested = Tested(options.data.resolve(), options.strat_folds, options.min_positives)
    try:
        check_tested(tested)
        settings = transfer_settings(
            dest,
            _train(options, dest),
            tested,
            seeds=options.seeds,
            size=options.size,
            overrides=overrides,
            budget=options.budget,
            workers=options.workers,
        )
        report = run_transfer(settings, tested)
    except (InfarctionError, CommandError) as error:
        raise BenchmarkError(str(error)) from error
    print(write_transfer_report(dest, report))
    print(f"{dest / 'report.md'}\n{dest / 'report.json'}\n{dest / 'rows.csv'}")
    if options.json is not None:
        write_json(options.json, report)
    refuse_failed(report)
    return 0


def _train(options: argparse.Namespace, dest: Path) -> Path:
    """Return the folder of the store to train on; a synthetic cohort is made first."""
    from selfmis_plugin.benchmark.cohort import make_archive

    if options.train is not None:
        given: Path = options.train.resolve()
        return given
    return make_archive(
        dest, options.records or RECORDS, usable_cores(), options.cohort or LATEST_COHORT
    )


BENCHMARK = Benchmark(
    "transfer",
    "what synthetic hearts alone teach about real records, statement by statement",
    add_arguments,
    run,
)
