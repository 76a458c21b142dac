"""Learning rates chosen alike for every method: as many trials, on validation alone.

Rivals that nobody tuned are no rivals. Every training that declares learning rates, pre-training
and fine-tuning alike, is run once with each of them, with one seed, on the training records of one
rotation, and judged by the AUC of any infarction on that rotation's validation records, which
choose checkpoints there too. What is best is what all rotations and seeds take. A test fold's
records play no part.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfmis_plugin.benchmark.commands import best_checkpoint
from selfmis_plugin.benchmark.folder import read_json
from selfmis_plugin.benchmark.graph import Step, reason, run_steps, with_needs
from selfmis_plugin.benchmark.infarction import judged_here, plan_infarction
from selfmis_plugin.benchmark.settings import (
    RATE,
    Cell,
    InfarctionError,
    Settings,
    cell_file,
    cell_run,
    further_keys,
    given_file,
    stage_checkpoint,
    stage_file,
    stage_name,
)
from selfmis_plugin.benchmark.sources import stages_of, with_sources
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.evaluation.any_infarction import types_and_any
from selfmis_plugin.methods.method import (
    LABELLED,
    PROBE,
    Method,
    Stage,
    owners_first,
    with_its_sources,
)
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.auc import auc_report
from selfmis_plugin.metrics.predictions import Predictions

__all__ = ["TRIED", "Tuned", "choose_rates", "is_said", "read_rates", "untried", "with_rates"]

#: What a report says of the trials that it holds; a file may lack some of it.
TRIED = ("selfmis_plugin", "host", "size", "budget", "folds", "strat_folds", "held_out")
_SEED = 1


@dataclass(frozen=True)
class Tuned:
    """What was tried of one training.

    Attributes
    ----------
    name
        Of the stage or, of a method without one, of the mode.
    method
        Whose classifier judged it.
    trials
        For each rate: ``rate``, ``auc`` (of any infarction on validation; None where it failed or
        is undefined), ``seconds`` of the training and ``records_seen`` by it.
    rate
        The best of them; None where none has an AUC.
    tried
        On what, JSON-ready: version, host, size, budget and folds, as :data:`TRIED` names them.
    """

    name: str
    method: str
    trials: tuple[Mapping[str, Any], ...]
    rate: float | None
    tried: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Tunable:
    """A training that declares rates, and what judges it."""

    name: str
    method: Method
    mode: str
    stage: Stage | None
    rates: tuple[float, ...]


def choose_rates(settings: Settings) -> list[Tuned]:
    """Try the rates of every training that the rows need.

    Parameters
    ----------
    settings
        Of one rotation, with the validation records as its test records; its folder takes the
        trials, and what is finished there stays.

    Returns
    -------
    list of Tuned
        In the order in which they were chosen: what a training starts from before it.

    Raises
    ------
    InfarctionError
        As :func:`~selfmis_plugin.benchmark.infarction.run_infarction`.
    """
    settings = judged_here(settings)
    chosen: dict[str, Tuned] = {}
    waiting = {tunable.name: tunable for tunable in _tunables(settings)}
    while waiting:
        ready = {
            name: tunable
            for name, tunable in waiting.items()
            if not any(other in waiting for other in _waits_for(settings, tunable))
        }
        _train_untuned(settings, ready.values(), chosen)
        runs = {
            (name, rate): _trial(settings, tunable, rate, chosen)
            for name, tunable in ready.items()
            for rate in tunable.rates
        }
        failed = _run(settings, runs)
        for name, tunable in ready.items():
            del waiting[name]
            trials = tuple(
                _judged(tunable, rate, runs[name, rate], failed) for rate in tunable.rates
            )
            known = [trial for trial in trials if trial["auc"] is not None]
            best = max(known, key=lambda trial: trial["auc"], default=None)
            chosen[name] = Tuned(
                name, tunable.method.name, trials, None if best is None else best["rate"]
            )
    return list(chosen.values())


def _tunables(settings: Settings) -> Iterator[_Tunable]:
    seen: set[str] = set()
    everyone = {method.name: method for method in (*settings.methods, *settings.others)}
    judges: dict[str, Method] = {}
    for method in owners_first(everyone.values()):
        if method.encoder is not None and PROBE in method.modes:
            judges.setdefault(method.encoder.name, method)
    for method in settings.methods:
        for stage in [] if method.encoder is None else with_its_sources(method.encoder):
            rates = () if is_said(settings, stage.name) else stage.rates.get(settings.size, ())
            if rates and stage.name in judges and not given_file(settings, stage):
                if stage.name not in seen:
                    yield _Tunable(stage.name, judges[stage.name], PROBE, stage, rates)
                seen.add(stage.name)
        for mode, classifier in method.modes.items():
            name = f"{method.name}/{mode}"
            rates = () if is_said(settings, name) else classifier.rates.get(settings.size, ())
            if rates and mode in settings.asked(method):
                yield _Tunable(name, method, mode, None, rates)


def is_said(settings: Settings, name: str) -> bool:
    """Whether the user has set the rate of a training, by its own name, its mode's or for all."""
    return RATE in further_keys(settings, name.rpartition("/")[2], name)


def _sources(settings: Settings, tunable: _Tunable) -> list[Stage | Cell]:
    """Return what a training starts from, each after what it starts from itself."""
    found: dict[str, Stage | Cell] = {}
    if tunable.stage is not None:
        for source in tunable.stage.starts_from.values():
            found |= {stage.name: stage for stage in with_its_sources(source)}
        return list(found.values())
    cell = Cell(tunable.method, tunable.mode, 1.0, _SEED)
    for one in with_sources(settings, [cell]):
        found |= {stage.name: stage for stage in stages_of(settings, one)}
        if one.name != cell.name:
            found[one.name] = one
    return list(found.values())


def _name(source: Stage | Cell) -> str:
    """Return the name by which a source would be tuned."""
    return source.name if isinstance(source, Stage) else f"{source.method.name}/{source.mode}"


def _waits_for(settings: Settings, tunable: _Tunable) -> Iterator[str]:
    """Yield the names of trainings whose rates are chosen first, as far as they are."""
    for source in _sources(settings, tunable):
        yield _name(source)
        if isinstance(source, Cell):
            yield f"{source.method.name}/{source.method.modes[source.mode].rate_of}"


def _train_untuned(
    settings: Settings, tunables: Iterable[_Tunable], chosen: Mapping[str, Tuned]
) -> None:
    """Train once what trials start from and nobody tunes, such as HeartLang's words or a student's
    teachers.

    What fails is tried again by the trials themselves, which say why.
    """
    steps: dict[str, Step] = {}
    waiting: dict[str, Cell] = {}
    for tunable in tunables:
        names, made = [], _made(settings, tunable, chosen)
        for source in _sources(settings, tunable):
            step = source.name if isinstance(source, Cell) else stage_name(source, _SEED)
            if _name(source) in chosen or step in made:
                continue
            if isinstance(source, Cell):
                waiting[step] = source
            elif not given_file(settings, source):
                names.append(step)
        if names:
            begun = _untuned(settings, tunable.method, tunable.mode)
            begun = dataclasses.replace(begun, made=made)
            steps |= with_needs(plan_infarction(begun).steps, names)
    _run_before(settings, steps)
    while waiting:
        steps = {}
        for name, cell in list(waiting.items()):
            classifier = _Tunable(_name(cell), cell.method, cell.mode, None, ())
            if any(
                isinstance(source, Cell) and source.name in waiting
                for source in _sources(settings, classifier)
            ):
                continue
            begun = _begun(settings, classifier, chosen)
            for step, work in with_needs(plan_infarction(begun).steps, [name]).items():
                needs = [f"{name}: {need}" for need in work.needs]
                steps[f"{name}: {step}"] = dataclasses.replace(work, needs=needs)
        _run_before(settings, steps)
        waiting = {name: cell for name, cell in waiting.items() if f"{name}: {name}" not in steps}


def _run_before(settings: Settings, steps: Mapping[str, Step]) -> None:
    if steps:
        run_steps(steps, settings.places, functools.partial(print, "before trials"))


def _begun(settings: Settings, classifier: _Tunable, chosen: Mapping[str, Tuned]) -> Settings:
    """Return the settings in which a classifier that nobody tunes is trained for all trials."""
    rate_of = classifier.method.modes[classifier.mode].rate_of
    tuned = chosen.get(f"{classifier.method.name}/{rate_of}")
    begun = dataclasses.replace(
        _untuned(settings, classifier.method, classifier.mode),
        dest=_untuned_folder(settings, classifier.name),
        made=_made(settings, classifier, chosen),
    )
    return begun if tuned is None or tuned.rate is None else with_rates(begun, [tuned])


def _untuned(settings: Settings, method: Method, mode: str) -> Settings:
    return dataclasses.replace(
        settings,
        dest=settings.dest / "untuned",
        methods=[method],
        modes=(mode,),
        fractions=(1.0,),
        seeds=(_SEED,),
        draws=0,
    )


def _untuned_folder(settings: Settings, classifier: str) -> Path:
    return settings.dest / f"untuned-{classifier.replace('/', '-')}"


def _made(settings: Settings, tunable: _Tunable, chosen: Mapping[str, Tuned]) -> dict[str, Path]:
    """Return what is trained already of all that a training starts from, by the step's name."""
    found: dict[str, Path] = {}
    for source in _sources(settings, tunable):
        name, tuned = _name(source), chosen.get(_name(source))
        if tuned is not None and tuned.rate is not None:
            folder = _folder(settings, name, tuned.rate)
        elif tuned is not None:
            continue
        elif isinstance(source, Stage):
            folder = settings.dest / "untuned"
        else:
            folder = _untuned_folder(settings, name)
        trained = dataclasses.replace(settings, dest=folder)
        if isinstance(source, Cell):
            if cell_file(trained, source).is_file():
                found[source.name] = best_checkpoint(cell_run(trained, source))
        elif stage_file(trained, source, _SEED).is_file():
            found[stage_name(source, _SEED)] = stage_checkpoint(trained, source, _SEED)
    return found


def _trial(
    settings: Settings, tunable: _Tunable, rate: float, chosen: Mapping[str, Tuned]
) -> Settings:
    """Return the settings of one trial: what it starts from is taken from the trials before."""
    given, made = dict(settings.given), _made(settings, tunable, chosen)
    # A folder says which files were given: one that was begun before goes on.
    for source in _sources(settings, tunable) if tunable.stage is not None else ():
        step = stage_name(source, _SEED) if isinstance(source, Stage) else ""
        if isinstance(source, Stage) and source.given_by and step in made:
            given.setdefault(source.given_by, made.pop(step))
    return dataclasses.replace(
        _with_rate(_untuned(settings, tunable.method, tunable.mode), tunable.name, rate),
        dest=_folder(settings, tunable.name, rate),
        given=given,
        made=made,
    )


def _folder(settings: Settings, name: str, rate: float) -> Path:
    return settings.dest / name.replace("/", "-") / f"{rate:g}"


def _run(
    settings: Settings, runs: Mapping[tuple[str, float], Settings]
) -> dict[tuple[str, float], str]:
    """Run trials, several at a time; return what went wrong."""
    steps: dict[str, Step] = {}
    of_step: dict[str, tuple[str, float]] = {}
    for key, trial in runs.items():
        for name, step in plan_infarction(trial).steps.items():
            whole = f"{key[0]}/{key[1]:g}/{name}"
            needs = [f"{key[0]}/{key[1]:g}/{need}" for need in step.needs]
            steps[whole] = dataclasses.replace(step, needs=needs)
            of_step[whole] = key
    failed = run_steps(steps, settings.places, functools.partial(print, "trials"))
    return {of_step[name]: reason(error).splitlines()[0] for name, error in failed.items()}


def _judged(
    tunable: _Tunable,
    rate: float,
    trial: Settings,
    failed: Mapping[tuple[str, float], str],
) -> dict[str, Any]:
    found: dict[str, Any] = {"rate": rate, "auc": None, "seconds": None, "records_seen": None}
    if (tunable.name, rate) in failed:
        return {**found, "failed": failed[tunable.name, rate]}
    file = cell_file(trial, Cell(tunable.method, tunable.mode, 1.0, _SEED))
    found["seconds"] = read_json(file)["seconds"]
    if tunable.stage is not None:
        stage = read_json(stage_file(trial, tunable.stage, _SEED))
        found |= {"seconds": stage["seconds"], "records_seen": stage["records_seen"]}
    said = Predictions.read(file.with_name("predictions.parquet"))
    scored = types_and_any(said, open_split(trial.data[LABELLED], "test")).select([ANY])
    auc = auc_report(scored.targets, scored.logits, [ANY], ()).per_label.get(ANY)
    return {**found, "auc": auc if auc is not None and math.isfinite(auc) else None}


def read_rates(
    report: Path, size: str | None = None, held_out: Sequence[int] | None = None
) -> list[Tuned]:
    """Return what the report of another cross-validation tried and chose.

    Parameters
    ----------
    report
        Its ``report.json`` or ``rates.json``.
    size
        Of the networks that the rates are for.
    held_out
        Folds that are held out of all that is chosen.

    Raises
    ------
    InfarctionError
        If it is no such report, nothing was tried for it, or what it tried was of another size or
        on folds that are held out.
    """
    try:
        whole = read_json(report)
        about = {key: whole[key] for key in TRIED if key in whole}
        tuned = [
            Tuned(**{"tried": about, **one, "trials": tuple(one["trials"])})
            for one in whole["tuned"]
        ]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InfarctionError(
            f"{report}: not the report.json or rates.json of a benchmark with --folds ({error})"
        ) from error
    if not tuned:
        raise InfarctionError(f"{report}: nothing was tried for it: run it with --trials")
    for one in tuned:
        other = one.tried.get("size", size)
        if size is not None and other != size:
            raise InfarctionError(
                f"{report}: {one.name} was tried at {other} size, and is {size} here: run the "
                f"trials with --size {size}, or give that size's file"
            )
        if held_out is not None and (seen := _seen(one.tried, held_out)):
            raise InfarctionError(
                f"{report}: {one.name} was tried on folds that are held out here "
                f"({', '.join(map(str, seen))}), so they would judge what was chosen on them: run "
                "the trials with --strat-folds and the other folds alone"
            )
    return tuned


def _seen(tried: Mapping[str, Any], held_out: Sequence[int]) -> list[int]:
    """Return those of the folds that are held out that trials may have looked at."""
    if "strat_folds" not in tried:
        return []  # a file that does not say
    if apart := tried.get("held_out"):
        return [fold for fold in held_out if fold not in apart]
    chosen = tried["strat_folds"]
    return [fold for fold in held_out if chosen is None or fold in chosen]


def untried(settings: Settings, tuned: Sequence[Tuned]) -> list[str]:
    """Return the names of trainings that the rows need, that declare rates and of which *tuned*
    has none."""
    known = {one.name for one in tuned}
    return [one.name for one in _tunables(judged_here(settings)) if one.name not in known]


def with_rates(settings: Settings, tuned: Sequence[Tuned]) -> Settings:
    """Return settings in which every training takes the rate that was chosen for it, or for the
    mode whose rate it takes.

    Raises
    ------
    InfarctionError
        If no trial of a training that the rows need has a figure.
    """
    for one in tuned:
        if one.rate is None and one.name not in untried(settings, ()):
            continue  # of a file that other rows share
        if one.rate is None:
            reasons = "; ".join(t.get("failed", "AUC undefined") for t in one.trials)
            raise InfarctionError(f"no learning rate of {one.name} could be tried: {reasons}")
        settings = _with_rate(settings, one.name, one.rate)
        name, _, mode = one.name.rpartition("/")
        method = settings.known(name)
        for other, classifier in ({} if method is None else method.modes).items():
            alike = f"{name}/{other}"
            if classifier.rate_of == mode and not is_said(settings, alike):
                settings = _with_rate(settings, alike, one.rate)
    return settings


def _with_rate(settings: Settings, name: str, rate: float) -> Settings:
    keys = {**settings.overrides.get(name, {}), RATE: [rate]}
    return dataclasses.replace(settings, overrides={**settings.overrides, name: keys})
