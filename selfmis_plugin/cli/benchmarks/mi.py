"""``selfmis benchmark mi``: methods compared on the nine infarction types."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfmis_plugin.cli.cohort_option import add_cohort
from selfmis_plugin.cli.sharing import without_dask
from selfmis_plugin.cli.training_options import (
    MIN_POSITIVES,
    add_training_options,
    overrides_of,
    refuse_failed,
    refuse_unknown_places,
)
from selfmis_plugin.data.origin import LATEST_COHORT
from selfmis_plugin.methods import Rows, known_methods, known_rows
from selfmis_plugin.methods.method import (
    ARCHIVE,
    FINETUNE,
    LABELLED,
    NO_ECG,
    PROBE,
    UNLABELLED,
    UNTRAINED,
    ZERO_SHOT,
    Method,
    Stage,
)
from selfmis_plugin.profiling.benchmark import Benchmark, BenchmarkError
from selfmis_plugin.utils.arguments import known_names, share, whole, whole_numbers
from selfmis_plugin.utils.parallel import usable_cores

if TYPE_CHECKING:
    from selfmis_plugin.benchmark.graph import Places
    from selfmis_plugin.benchmark.infarction import Settings

#: Records of the synthetic cohort: archive, unlabelled, of which for validation, study.
SYNTHETIC = (3000, 6300, 300, 2400)
#: How encoders are judged unless it is said: where a method has these.
DEFAULT_MODES = (PROBE, FINETUNE, ZERO_SHOT, UNTRAINED, NO_ECG)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    methods = known_methods()
    modes = dict.fromkeys(mode for method in methods.values() for mode in method.modes)
    parser.add_argument(
        "--data",
        type=Path,
        help="labelled records: a store such as PTB-XL's, or manifests of one",
    )
    parser.add_argument("--unlabelled", type=Path, help="records to pre-train on, such as MIMIC's")
    parser.add_argument(
        "--archive",
        type=Path,
        help="labelled records of other patients, to train stand-ins for ECGFounder's weights on",
    )
    parser.add_argument(
        "--synthetic",
        action="store_true",
        help="make a synthetic cohort in DEST and use it for all three",
    )
    add_cohort(parser, "with --synthetic: ")
    for name, stage in _replaceable(methods.values()).items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=Path,
            help=f"the published weights of {stage.name}, which nothing here trains"
            if stage.needs_file
            else f"a file, or a folder of `selfmis export`, that takes the place of training "
            f"{stage.name}",
        )
    parser.add_argument(
        "--methods",
        help=f"comma-separated: {', '.join(methods)} (default: all but those that are only run by "
        f"name, {', '.join(name for name, method in methods.items() if method.by_name)})",
    )
    parser.add_argument(
        "--methods-from",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.py",
        help="a file of your own that defines METHODS; repeatable",
    )
    parser.add_argument(
        "--modes",
        help="how encoders are judged, comma-separated, where a method has it: all, or some of "
        f"{', '.join(modes)}, or one of a method's alone, as METHOD/MODE (default: "
        f"{', '.join(DEFAULT_MODES)})",
    )
    parser.add_argument(
        "--fractions",
        type=_fractions,
        default=(0.25, 0.5, 1.0),
        help="shares of the labelled training records (default: 0.25,0.5,1.0)",
    )
    add_training_options(
        parser,
        "one stage or mode, such as selfmis:optimization.max_epoch=5, probe:dataset.batch_size=32 "
        "or, for one method's, selfmis/probe:...",
        "each method's pre-training",
    )
    parser.add_argument(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="train on the Dask cluster of this scheduler instead of on this machine, one training "
        "a worker; its workers must see DEST and all data under the same paths",
    )
    _add_fold_arguments(parser)
    parser.add_argument("--dest", "--out", type=Path, default=Path("outputs/benchmark-mi"))


def _add_fold_arguments(parser: argparse.ArgumentParser) -> None:
    folds = parser.add_mutually_exclusive_group()
    folds.add_argument(
        "--folds",
        type=whole(3),
        metavar="K",
        help="cross-validate: every record is tested on once, in K rotations over strat_fold, or "
        "over patients where the store has none; no patient of a test fold is in any training",
    )
    folds.add_argument(
        "--held-out",
        type=whole_numbers,
        metavar="FOLDS",
        help="test on these of the store's own folds, such as 9,10, and train on the others",
    )
    parser.add_argument(
        "--strat-folds",
        type=whole_numbers,
        metavar="FOLDS",
        help="with --folds: only records of these of the store's own folds, such as 1-8",
    )
    parser.add_argument(
        "--min-positives",
        type=whole(1),
        metavar="N",
        help=f"with folds: positive records that a type needs to be in the mean (default: "
        f"{MIN_POSITIVES})",
    )
    parser.add_argument(
        "--against",
        metavar="METHOD",
        help="with folds: a row that the others are compared with, pair by pair",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="with folds: take up finished cells that lie there, of the same data, settings and "
        "version, and add those of this run",
    )
    rates = parser.add_mutually_exclusive_group()
    rates.add_argument(
        "--trials",
        action="store_true",
        help="with folds: choose every method's learning rate first, by as many trials on the "
        "validation records of the first rotation",
    )
    rates.add_argument(
        "--trials-only",
        action="store_true",
        help="with folds: the same, and stop: --rates-from takes the rates.json",
    )
    parser.add_argument(
        "--rates-from",
        type=Path,
        nargs="+",
        default=[],
        metavar="RATES.json",
        help="with folds: the learning rates that other benchmarks' trials chose; of a training "
        "that several have tried, the first one's. With --trials what none of them has is tried",
    )


def run(options: argparse.Namespace) -> int:
    """Run what is not done yet, and write the report; return the exit status."""
    _refuse_needless(options)
    rows = _rows(options.methods_from)
    methods = _chosen_methods(options.methods, rows)
    modes = chosen_modes(options.modes, methods)
    overrides = overrides_of(options)
    _refuse_unknown_places(overrides, rows)
    # The host is only needed, and only looked for, here.
    try:
        from selfmis_plugin.benchmark.infarction import (
            CommandError,
            InfarctionError,
            Settings,
            run_infarction,
        )
        from selfmis_plugin.benchmark.report import write_infarction_report
        from selfmis_plugin.benchmark.unused import unused
        from selfmis_plugin.profiling.trainings.stage_costs import costs_of_stages
    except RuntimeError as error:
        raise BenchmarkError(str(error)) from error
    dest = options.dest.resolve()
    given = _given(options)
    # Before a cohort is made.
    places = _places(options) if options.scheduler else None
    data = _data(options, dest)
    settings = Settings(
        dest=dest,
        methods=methods,
        data=data,
        fractions=options.fractions,
        seeds=options.seeds,
        modes=modes,
        size=options.size,
        given=given,
        overrides=overrides,
        budget=options.budget,
        workers=options.workers,
        others=list(rows.methods.values()),
        cluster=places and places(dest, tuple(data.values()), tuple(given.values())),
    )
    try:
        for line in unused(settings):
            print(f"selfmis benchmark mi: {line}", file=sys.stderr)
        if options.folds or options.held_out:
            return _run_folds(settings, options)
        report = run_infarction(settings)
    except (InfarctionError, CommandError) as error:
        raise BenchmarkError(str(error)) from error
    report["costs"] = costs_of_stages(dest, report["stages"], rows.methods.values())
    print(write_infarction_report(dest, report, methods, rows.claims))
    print(f"{dest / 'report.md'}\n{dest / 'report.json'}\n{dest / 'cells.csv'}")
    _warn_of_seen(report, methods)
    refuse_failed(report)
    return 0


def _run_folds(settings: Settings, options: argparse.Namespace) -> int:
    """Cross-validate, or test on the folds that are held out; return the exit status."""
    from selfmis_plugin.benchmark.cross_validation import Folds, run_folds
    from selfmis_plugin.benchmark.folds_report import write_folds_report

    folds = Folds(
        options.folds or 1,
        options.strat_folds,
        options.held_out,
        options.min_positives or MIN_POSITIVES,
        options.against,
        trials=options.trials,
        trials_only=options.trials_only,
        rates_from=tuple(options.rates_from),
        keep=options.keep,
    )
    report, dest = run_folds(settings, folds), settings.dest
    print(write_folds_report(dest, report, settings.methods))
    print(f"{dest / 'report.md'}\n{dest / 'report.json'}\n{dest / 'rows.csv'}")
    _warn_of_seen(report, settings.methods)
    refuse_failed(report)
    if report["not_kept"]:
        raise BenchmarkError(
            f"{report['not_kept']}. The report is there, and all cells are in {dest}: the same "
            "command keeps them, with another --keep if need be"
        )
    return 0


def _warn_of_seen(report: Mapping[str, Any], methods: Sequence[Method]) -> None:
    """Say at the end, where it is read, which rows were trained on people that judge them."""
    from selfmis_plugin.benchmark.tested_people import seen_words

    for names, words in seen_words(report["rows"], {m.name: m.title for m in methods}):
        print(f"selfmis benchmark mi: {names}: {words}", file=sys.stderr)


def _refuse_needless(options: argparse.Namespace) -> None:
    """Refuse what only folds use where there are none: it would be ignored."""
    if options.strat_folds and not options.folds:
        raise BenchmarkError("--strat-folds says which records --folds deals: give --folds too")
    if not (options.folds or options.held_out):
        for name in ("against", "trials", "trials_only", "rates_from", "keep", "min_positives"):
            if getattr(options, name):
                option = f"--{name.replace('_', '-')}"
                raise BenchmarkError(f"{option} goes with folds: give --folds or --held-out too")
    if options.trials_only:
        for name in ("against", "keep", "min_positives"):
            if getattr(options, name):
                option = f"--{name.replace('_', '-')}"
                raise BenchmarkError(
                    f"{option} is about rows, and --trials-only stops before there are any: leave "
                    "it out, or give --trials"
                )


def _places(options: argparse.Namespace) -> Callable[..., Places]:
    """Return what makes the places of a cluster of DEST, data and files."""
    if options.workers != 1:
        raise BenchmarkError(
            "--workers is of trainings on this machine, and --scheduler hands them to the workers "
            "of a cluster: leave one of them out"
        )
    try:
        # Dask is an optional extra: nobody without a cluster should need it.
        from selfmis_plugin.benchmark.cluster import DaskPlaces
    except ModuleNotFoundError as error:
        raise BenchmarkError(without_dask(error)) from error
    return functools.partial(DaskPlaces, options.scheduler)


def _data(options: argparse.Namespace, dest: Path) -> dict[str, Path]:
    """Return the folders of the data by role; a synthetic cohort is made first."""
    from selfmis_plugin.benchmark import cohort

    data = {LABELLED: options.data, UNLABELLED: options.unlabelled, ARCHIVE: options.archive}
    if options.synthetic:
        if any(data.values()):
            raise BenchmarkError("--synthetic brings all data: leave out the folders")
        version = options.cohort or LATEST_COHORT
        stores = cohort.make_cohort(dest, *SYNTHETIC, usable_cores(), version)
        data = {
            LABELLED: cohort.write_study(dest / "study", stores[cohort.STUDY]),
            UNLABELLED: stores[cohort.UNLABELLED],
            ARCHIVE: stores[cohort.ARCHIVE],
        }
    elif options.cohort is not None:
        raise BenchmarkError("--cohort is about a cohort that is made: give it with --synthetic")
    if data[LABELLED] is None:
        raise BenchmarkError("give labelled records with --data, or --synthetic to make some")
    return {role: path.resolve() for role, path in data.items() if path is not None}


def _given(options: argparse.Namespace) -> dict[str, Path]:
    """Return the user's files that take the place of stages."""
    return {
        name: path.resolve()
        for name in _replaceable(known_methods().values())
        if (path := getattr(options, name)) is not None
    }


def _rows(files: Sequence[Path]) -> Rows:
    try:
        return known_rows(files)
    except ValueError as error:
        raise BenchmarkError(str(error)) from error


def _chosen_methods(text: str | None, rows: Rows) -> list[Method]:
    """Return methods by their names, which are only known once the user's files were run."""
    try:
        usual = tuple(name for name, method in rows.methods.items() if not method.by_name)
        names = usual if text is None else known_names(tuple(rows.methods))(text)
    except argparse.ArgumentTypeError as error:
        raise BenchmarkError(f"--methods: {error}") from error
    return [method for name, method in rows.methods.items() if name in names]


def chosen_modes(text: str | None, methods: Sequence[Method]) -> tuple[str, ...]:
    """Return modes by what was typed, of which the chosen methods have some each."""
    if text is None:
        return DEFAULT_MODES
    known = tuple(dict.fromkeys(mode for method in methods for mode in method.modes))
    if text == "all":
        return known
    whole = (f"{method.name}/{mode}" for method in methods for mode in method.modes)
    try:
        return known_names(known, further=whole)(text)
    except argparse.ArgumentTypeError as error:
        raise BenchmarkError(f"--modes: {error}") from error


def _refuse_unknown_places(overrides: Iterable[str], rows: Rows) -> None:
    """Refuse ``--set`` for what no row has; one of another row is said, and does nothing."""
    methods = rows.methods.values()
    stages = dict.fromkeys(stage.name for method in methods for stage in method.stages())
    modes = dict.fromkeys(mode for method in methods for mode in method.modes)
    of_one = (f"{method.name}/{mode}" for method in methods for mode in method.modes)
    shown = [*stages, *modes, "METHOD/MODE of one method's"]
    refuse_unknown_places(overrides, [*stages, *modes, *of_one], shown)


def _replaceable(methods: Iterable[Method]) -> dict[str, Stage]:
    """Return the stages that a file can take the place of, by the option that names it."""
    stages = [stage for method in methods for stage in method.stages()]
    return {stage.given_by: stage for stage in stages if stage.given_by}


def _fractions(text: str) -> tuple[float, ...]:
    return tuple(sorted({share(part) for part in text.split(",")}))


BENCHMARK = Benchmark(
    "mi",
    "methods on the nine infarction types: the paper's tables 1, 2, 3 and 5",
    add_arguments,
    run,
)
