"""The infarction benchmark cross-validated: every rotation a benchmark, predictions pooled.

Each rotation has a folder, and in it everything that a benchmark has; what one trains another
never reads. What they say of their test folds is put together, one prediction a record, by its rank
in its fold.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfmis_plugin.benchmark.folder import about_run, claim_folds, read_json
from selfmis_plugin.benchmark.given_files import refuse_absent_files, refuse_unfit_files
from selfmis_plugin.benchmark.graph import Step, reason, run_steps, with_needs
from selfmis_plugin.benchmark.infarction import (
    Plan,
    finished_stages,
    judged_here,
    plan_infarction,
    train_again,
)
from selfmis_plugin.benchmark.kept_cells import KeptCells, refuse_unwritable
from selfmis_plugin.benchmark.rotations import Rotation, held_out, rotations, write_rotation
from selfmis_plugin.benchmark.settings import RATE, InfarctionError, Settings, cell_file
from selfmis_plugin.benchmark.tested_people import seen_rows
from selfmis_plugin.benchmark.trials import (
    TRIED,
    Tuned,
    choose_rates,
    is_said,
    read_rates,
    untried,
    with_rates,
)
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.splits import Split, open_split
from selfmis_plugin.evaluation.any_infarction import types_and_any
from selfmis_plugin.methods.method import LABELLED, PROBE, Method, Mode
from selfmis_plugin.metrics.against import holm
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.intervals import measure_aucs
from selfmis_plugin.metrics.over_seeds import difference_over_seeds, mean_over_seeds
from selfmis_plugin.metrics.predictions import Predictions

__all__ = ["MEAN", "Folds", "run_folds"]

#: The mean over the types that have positives enough.
MEAN = "mean"

_KEEP_SECONDS = 60.0


@dataclass(frozen=True)
class Folds:
    """How to cross-validate.

    Attributes
    ----------
    folds
        Number of folds, at least 3.
    strat_folds
        Only records of these folds of the store; all by default.
    held_out
        In place of all that: the store's own folds to test on, once. The last of the others is
        for choosing checkpoints, the rest to train on.
    min_positives
        Positive records that a type needs to be in the mean.
    against
        Method that the others are compared with; None: none.
    trials
        Whether to choose learning rates first, as many trials for every method
        (:mod:`~selfmis_plugin.benchmark.trials`), but those that ``rates_from`` has.
    trials_only
        Whether to stop then: the report holds what was chosen, for ``rates_from``.
    keep
        Folder of cells that other runs have kept, to take up and to add to
        (:mod:`~selfmis_plugin.benchmark.kept_cells`).
    rates_from
        Reports of other cross-validations whose choices to take in place of trials; of a training
        that several have tried, the first one's. Without ``trials`` they must have all.
    """

    folds: int = 5
    strat_folds: tuple[int, ...] | None = None
    held_out: tuple[int, ...] | None = None
    min_positives: int = 20
    against: str | None = None
    trials: bool = False
    trials_only: bool = False
    rates_from: tuple[Path, ...] = ()
    keep: Path | None = None

    def rotations(self, data: Path) -> list[Rotation]:
        """Return the rotations over a labelled store's records; raises InfarctionError."""
        if self.held_out is not None:
            return [held_out(data, self.held_out)]
        return rotations(data, self.folds, self.strat_folds)

    def identity(self) -> dict[str, Any]:
        """Return what other figures in one folder would be of other records by, JSON-ready."""
        if self.held_out is not None:
            return {"held_out": list(self.held_out)}
        chosen = None if self.strat_folds is None else list(self.strat_folds)
        return {"folds": self.folds, "strat_folds": chosen}


def run_folds(settings: Settings, folds: Folds) -> dict[str, Any]:
    """Run what is not done yet of every rotation.

    Returns
    -------
    dict
        JSON-ready: ``rows`` (method, mode and fraction, each with its figures over seeds, with
        ``against`` differences, and what :func:`~selfmis_plugin.benchmark.tested_people.seen_rows`
        says of the tested people), ``positives``, ``populated`` (types in the mean), ``stages``,
        ``failed``, ``left_out``, ``lacking``, ``tuned`` (what was tried), ``moved`` (records of
        other roles that a rotation's test or validation patients have, by role), and what the
        figures were measured on.

    Raises
    ------
    InfarctionError
        As :func:`~selfmis_plugin.benchmark.infarction.run_infarction`; and if the folder holds
        another cross-validation, or the records cannot be dealt into folds.
    """
    _check(settings, folds)
    turns = folds.rotations(settings.data[LABELLED])
    tuned: Sequence[Tuned] = ()
    if folds.rates_from:
        read: dict[str, Tuned] = {}
        for file in folds.rates_from:
            for one in read_rates(file, settings.size, folds.held_out):
                read.setdefault(one.name, one)
        tuned = [one for one in read.values() if not is_said(settings, one.name)]
        missing = untried(settings, tuned)
        if missing and not (folds.trials or folds.trials_only):
            raise InfarctionError(
                f"--rates-from: nothing was tried for {', '.join(missing)}, which would be a rival "
                "that nobody tuned. Add --trials to try that too, or set a rate: "
                f"--set {missing[0]}:{RATE}=[0.001]"
            )
    if folds.keep is not None and not KeptCells.are_in(folds.keep):
        refuse_unwritable(folds.keep)
    claim_folds(settings.dest, folds.identity())
    if folds.trials or folds.trials_only:
        tried = {**about_run(settings), **dataclasses.asdict(folds)}
        about = {key: tried[key] for key in TRIED}
        new = _choose(with_rates(settings, tuned), turns[0])
        tuned = [*tuned, *(dataclasses.replace(one, tried=about) for one in new)]
    if folds.trials_only:
        turns = []
    settings = with_rates(settings, tuned)
    moved: dict[str, int] = {}
    plans = {}
    for turn in turns:
        plan = plan_infarction(_turned(settings, turn, moved))
        plans[f"fold{turn.number}"] = plan
    kept = KeptCells(folds.keep, settings, folds.identity()) if folds.keep else None
    if kept is not None:
        if taken := kept.take_up(plans):
            print(f"{taken} cells are taken up from {folds.keep}")
        kept.keep(plans)
        for plan in plans.values():
            train_again(plan)
    steps = _needed_steps(plans)
    if folds.keep is not None and steps:
        refuse_unwritable(folds.keep)
    try:
        failed = run_steps(steps, settings.places, _telling(kept, plans))
    finally:
        # The figures are there without it.
        not_kept = None if kept is None else _why_not_kept(kept, plans)
    first = next(iter(plans.values()), None)
    judged = _judged(_rows(plans), folds, {m.name: m for m in settings.methods})
    parts = [(plan.settings, plan.cells) for plan in plans.values()]
    for row, seen in zip(judged["rows"], seen_rows(judged["rows"], parts), strict=True):
        row |= seen
    return {
        **about_run(settings),
        **dataclasses.asdict(folds),
        "rates_from": [str(file) for file in folds.rates_from],
        "keep": folds.keep and str(folds.keep),
        **judged,
        "stages": [
            {"fold": fold, **stage}
            for fold, plan in plans.items()
            for stage in finished_stages(plan)
        ],
        "moved": moved,
        "tuned": [dataclasses.asdict(one) for one in tuned],
        "failed": {name: reason(error) for name, error in failed.items()},
        "not_kept": not_kept,
        "left_out": {} if first is None else dict(first.left_out),
        "lacking": {} if first is None else dict(first.lacking),
    }


def _check(settings: Settings, folds: Folds) -> None:
    """Refuse before any training what its end would find."""
    refuse_absent_files(settings)
    refuse_unfit_files(judged_here(settings))
    if folds.against is not None:
        rows = {method.name: settings.asked(method) for method in settings.methods}
        if folds.against not in rows:
            raise InfarctionError(
                f"--against {folds.against}: that is none of the rows, which are {', '.join(rows)}"
            )
        if not rows[folds.against]:
            raise InfarctionError(
                f"--against {folds.against}: none of its rows is asked for, so that nothing could "
                f"be compared with it. It is judged by {', '.join(_modes(settings, folds.against))}"
                ": name one in --modes"
            )


def _modes(settings: Settings, name: str) -> list[str]:
    method = settings.known(name)
    return [] if method is None else list(method.modes)


def _why_not_kept(kept: KeptCells, plans: Mapping[str, Plan]) -> str | None:
    """Keep what is finished; say why not where that cannot be."""
    try:
        kept.keep(plans)
    except Exception as error:  # whatever it is: what was computed is not to be lost by it
        return str(error)
    return None


def _telling(kept: KeptCells | None, plans: Mapping[str, Plan]) -> Callable[[str], None]:
    """Return what is called after each step: it says how far it is, and keeps what is finished
    now and then, so that a killed run loses little of it."""
    last = time.monotonic()

    def tell(line: str) -> None:
        nonlocal last
        print(line)
        if kept is not None and time.monotonic() - last > _KEEP_SECONDS:
            if why := _why_not_kept(kept, plans):
                # The trainings go on: all is tried again, and said, at the end.
                print(f"not kept yet: {why}")
            last = time.monotonic()

    return tell


def _needed_steps(plans: Mapping[str, Plan]) -> dict[str, Step]:
    """Return the steps of cells that are not finished, and of all that they start from; seed by
    seed, as a row is reported of the seeds of which every rotation is there."""
    steps: dict[str, Step] = {}
    for seed in next(iter(plans.values())).settings.seeds if plans else ():
        for fold, plan in plans.items():
            wanted = [
                cell.name
                for cell in plan.cells
                if cell.seed == seed and not cell_file(plan.settings, cell).is_file()
            ]
            for name, step in with_needs(plan.steps, wanted).items():
                needs = [f"{fold}/{need}" for need in step.needs]
                steps[f"{fold}/{name}"] = dataclasses.replace(step, needs=needs)
    return steps


def _choose(settings: Settings, turn: Rotation) -> list[Tuned]:
    """Try learning rates on a rotation without its test fold: validation takes its place."""
    dest = settings.dest / "trials"
    unseen = dataclasses.replace(turn, rows={**turn.rows, "test": turn.rows["valid"]})
    data = write_rotation(turn, settings.data, dest / "data")
    labelled, _ = write_rotation(unseen, {LABELLED: settings.data[LABELLED]}, dest / "judged")[
        LABELLED
    ]
    folders = {role: path for role, (path, _) in data.items()}
    return choose_rates(
        dataclasses.replace(settings, dest=dest, data={**folders, LABELLED: labelled})
    )


def _turned(settings: Settings, turn: Rotation, moved: dict[str, int]) -> Settings:
    """Return the settings of a rotation, and count into *moved* by role."""
    dest = settings.dest / f"fold{turn.number}"
    data = write_rotation(turn, settings.data, dest / "data")
    for role, (_, count) in data.items():
        moved[role] = moved.get(role, 0) + count
    return dataclasses.replace(
        settings, dest=dest, data={role: path for role, (path, _) in data.items()}, draws=0
    )


@dataclass(frozen=True)
class _Row:
    """One line of the table.

    Attributes
    ----------
    method, mode, fraction
        What was trained.
    lacks
        Types that the data know and that it has no output for.
    seeds
        Out-of-fold predictions of the types and of :data:`ANY`, by seed, each replaced by its rank
        in its test fold: every fold's model has a scale of its own, and one that gives all its
        records higher scores would cost AUC that no reader of one model's scores loses (Forman and
        Scholz, "Apples-to-apples in cross-validation studies", SIGKDD Explorations 12(1), 2010).
    within, pooled
        AUC of :data:`ANY` inside each fold, mean over folds and seeds; and of the scores put
        together as they are, mean over seeds.
    seconds
        Of the classifier's trainings, all folds and seeds together.
    cpu_seconds
        Processor time of all trainings that a classifier needed, its own among them, mean over
        those folds and seeds of which it is known; None where it is of none.
    """

    method: str
    mode: str
    fraction: float
    lacks: Sequence[str]
    seeds: Mapping[int, Predictions]
    within: float | None
    pooled: float | None
    seconds: float
    cpu_seconds: float | None

    def rival(self, rows: Sequence[_Row], method: str | None) -> _Row | None:
        """Return the row of *method* to compare with: judged in the same way or, if it never is,
        in its own; where nothing is trained on labels, with the one that was trained on most."""
        of_method = [row for row in rows if row.method == method]
        for row in of_method:
            if row.mode == self.mode and row.fraction == self.fraction:
                return row
        if self.method == method:
            return None
        most = max((row.fraction for row in of_method), default=None)
        named = [row for row in of_method if row.fraction == (self.fraction or most)]
        alike = [row for row in named if row.mode == self.mode]
        return next(iter([*alike, *named]), None)


def _rows(plans: Mapping[str, Plan]) -> list[_Row]:
    """Return what is finished: of each row those seeds of which every rotation is."""
    found: dict[tuple[str, str, float], dict[int, list[Path]]] = {}
    parts = [open_split(plan.settings.data[LABELLED], "test") for plan in plans.values()]
    for cell in next((plan.cells for plan in plans.values()), ()):
        files = [cell_file(plan.settings, cell) for plan in plans.values()]
        if all(path.is_file() for path in files):
            row = found.setdefault((cell.method.name, cell.mode, cell.fraction), {})
            row[cell.seed] = files
    return [_row(names, seeds, parts) for names, seeds in found.items()]


def _row(
    names: tuple[str, str, float], seeds: Mapping[int, Sequence[Path]], tested: Sequence[Split]
) -> _Row:
    parts = {
        seed: [_read(path, part) for path, part in zip(files, tested, strict=True)]
        for seed, files in seeds.items()
    }
    cells = [read_json(path) for files in seeds.values() for path in files]
    took = [s for cell in cells if (s := cell.get("cpu_seconds")) is not None]
    within = [_any_auc(part) for of_seed in parts.values() for part in of_seed]
    pooled = [_any_auc(Predictions.joined(of_seed)) for of_seed in parts.values()]
    labels = {name for of_seed in parts.values() for part in of_seed for name in part.labels}
    known = {name for part in tested for name in part.store.info.labels}
    return _Row(
        *names,
        [name for name in INFARCTION_TYPES if name in known - labels],
        {
            seed: Predictions.joined([part.ranked() for part in of_seed])
            for seed, of_seed in parts.items()
        },
        _mean(within),
        _mean(pooled),
        sum(cell["seconds"] for cell in cells),
        statistics.mean(took) if took else None,
    )


def _read(cell: Path, part: Split) -> Predictions:
    return types_and_any(Predictions.read(cell.with_name("predictions.parquet")), part)


def _any_auc(part: Predictions) -> float | None:
    only = part.select([ANY])
    if only.targets.all() or not only.targets.any():
        return None
    return float(measure_aucs(only.targets, only.logits, only.patient_index()[0]).value[0])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _judged(rows: Sequence[_Row], folds: Folds, methods: Mapping[str, Method]) -> dict[str, Any]:
    """Return the figures of all rows, and what the mean is over."""
    positives: dict[str, int] = {}
    for row in rows:
        for one in row.seeds.values():
            counts = one.targets.sum(axis=0).tolist()
            positives |= dict(zip(one.labels, counts, strict=True))
    populated = [n for n in INFARCTION_TYPES if positives.get(n, 0) >= max(1, folds.min_positives)]
    wanted = {ANY: [ANY], MEAN: populated, **{name: [name] for name in populated}}
    lines: list[dict[str, Any]] = []
    for row in rows:
        rival = row.rival(rows, folds.against)
        figures = {}
        for name, labels in wanted.items():
            if labels and set(labels) <= set(next(iter(row.seeds.values())).labels):
                figures[name] = _figure(row, rival, labels)
        lines.append(
            {
                "method": row.method,
                "mode": row.mode,
                "fraction": row.fraction,
                "lacks": list(row.lacks),
                "seeds": sorted(row.seeds),
                "records": len(next(iter(row.seeds.values()))),
                "seconds": round(row.seconds, 1),
                "cpu_seconds": row.cpu_seconds,
                "figures": figures,
                "any_within_folds": row.within,
                "any_pooled": row.pooled,
            }
        )
    _correct(lines)
    for line in lines:
        line["below_floor"] = _below_floor(line, lines, methods[line["method"]].floor)
    return {"rows": lines, "positives": positives, "populated": populated}


def _below_floor(
    line: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], floor: Mode | None
) -> bool | None:
    """Whether a probe is worse than one on an untrained encoder; None where there is none."""
    if floor is None or line["mode"] != PROBE or ANY not in line["figures"]:
        return None
    wanted = (floor.method, floor.mode, line["fraction"])
    for other in lines:
        if (other["method"], other["mode"], other["fraction"]) == wanted:
            own, untrained = (one["figures"][ANY]["value"] for one in (line, other))
            return None if own is None or untrained is None else bool(own < untrained)
    return None


def _correct(lines: Sequence[dict[str, Any]]) -> None:
    """Add to each difference Holm's p-value and the number of tests that it is corrected over.

    A family are the rows of a figure that are compared at one fraction of the labels; rows that are
    alike to the last digit are one network, tested once.
    """
    families: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for line in lines:
        for name, figure in line["figures"].items():
            if "difference" in figure:
                family = (name, figure["difference"]["fraction"])
                families.setdefault(family, []).append(figure["difference"])
    for differences in families.values():
        alike = {tuple(map(repr, difference.values())): difference for difference in differences}
        corrected = holm([difference["p_value"] for difference in alike.values()])
        p_holm = dict(zip(alike, corrected, strict=True))
        tests = sum(value is not None for value in corrected)
        values = [p_holm[tuple(map(repr, difference.values()))] for difference in differences]
        for difference, value in zip(differences, values, strict=True):
            difference |= {"p_holm": value, "holm_over": tests}


def _figure(row: _Row, rival: _Row | None, labels: Sequence[str]) -> dict[str, Any]:
    """Return a mean AUC over seeds and, of other rows than the rival, its paired difference."""
    figure = mean_over_seeds(list(row.seeds.values()), labels).to_dict()
    shared = [seed for seed in row.seeds if rival is not None and seed in rival.seeds]
    if rival is None or rival is row or not shared:
        return figure
    if not set(labels) <= set(next(iter(rival.seeds.values())).labels):
        return figure
    first, second = ([side.seeds[seed] for seed in shared] for side in (row, rival))
    difference = difference_over_seeds(first, second, labels).to_dict()
    from_row = {"mode": rival.mode, "fraction": rival.fraction}
    return {**figure, "difference": {**difference, **from_row}}
