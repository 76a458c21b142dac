"""What a demo of every lead's embedding found, and whether it shows what it should."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from selfmis_plugin.benchmark.studies import correlation, identification, reconstruction
from selfmis_plugin.methods.demo_plan import Leads
from selfmis_plugin.utils import markdown
from selfmis_plugin.utils.files import whole_files, write_json

__all__ = ["write_report"]

Answers = Mapping[str, Any]

_PICTURES = ("correlation.png", "reconstruction.png")
_RULE = "first"
#: The lead by whose probe methods are compared.
_LEAD = "I"
_TWELVE = "twelve leads from lead I, correlation"


class _Training(NamedTuple):
    """What a training is called in each study and in the infarction benchmark."""

    correlation: str
    reconstruction: str
    identification: str
    method: str


def _trainings(plan: Leads) -> dict[str, _Training]:
    """Return the trainings that are compared, by what the report calls them."""
    whole = (correlation.MODEL, reconstruction.MODEL, identification.MODEL, plan.method)
    return {
        plan.called: _Training(*whole),
        **{title: _Training(title, title, title, name) for name, title in plan.alone.items()},
    }


def write_report(
    plan: Leads,
    dest: Path,
    about: Mapping[str, Any],
    infarction: Mapping[str, Any],
    answers: Sequence[Answers],
) -> dict[str, Any]:
    """Write ``report.json``, ``report.md`` and the pictures of the first seed.

    Parameters
    ----------
    plan
        The demo.
    dest
        Folder to write into.
    about
        What the demo was made of, JSON-ready.
    infarction
        What :func:`~selfmis_plugin.benchmark.infarction.run_infarction` returned.
    answers
        What the studies found, by name, for each seed.

    Returns
    -------
    dict
        What ``report.json`` holds.
    """
    cells = [
        {(c["method"], c["mode"]): c for c in infarction["cells"] if c["seed"] == seed}
        for seed in sorted({cell["seed"] for cell in infarction["cells"]})
    ]
    probe = plan.modes[_LEAD]
    probes = [{method: c for (method, mode), c in of.items() if mode == probe} for of in cells]
    schedules = {
        name: _figures(training, answers, probes) for name, training in _trainings(plan).items()
    }
    effects = _effects(plan, schedules, answers)
    report = {
        **about,
        "data": f"synthetic cohort, version {about['cohort_version']}",
        "seeds": len(answers),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "training_seconds": {
            f"{stage['stage']}, seed {stage['seed']}": stage["seconds"]
            for stage in infarction["stages"]
        },
        "schedules": schedules,
        "effects": effects,
        "infarction": {
            name: _mean([of[name, probe]["mi_auc"] for of in cells])
            for name in dict.fromkeys(method for method, _ in cells[0])
        },
        "infarction_by_lead": {
            lead: _mean([of[plan.method, mode]["mi_auc"] for of in cells])
            for lead, mode in plan.modes.items()
        },
        **{name: answers[0][name] for name in answers[0]},
    }
    text = _markdown(plan, report, dest)
    written = [dest / name for name in ("report.json", "report.md", *_PICTURES)]
    with whole_files(*written) as (figures, words, *pictures):
        write_json(figures, report)
        words.write_text(text, encoding="utf-8")
        for name, path in zip(_PICTURES, pictures, strict=True):
            shutil.copyfile(dest / "seed1" / name, path)
    print(text)
    print("\n".join(map(str, written)))
    return report


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _figures(
    training: _Training, answers: Sequence[Answers], cells: Sequence[Mapping[str, Any]]
) -> dict[str, list[float | None]]:
    """Return the four figures of one training by seed; *cells* are the probes by method."""
    return {
        "correlation of leads": [
            of["correlation"]["networks"][training.correlation]["centred"]["mean"] for of in answers
        ],
        _TWELVE: [
            of["reconstruction"]["fits"][training.reconstruction]["mean_correlation"]
            for of in answers
        ],
        "infarction by lead I, AUC": [of[training.method]["mi_auc"] for of in cells],
        "identification, rank 1": [
            of["identification"]["found"][training.identification][_RULE]["rank1"] for of in answers
        ],
    }


def _effects(
    plan: Leads,
    schedules: Mapping[str, Mapping[str, list[float | None]]],
    answers: Sequence[Answers],
) -> list[dict[str, Any]]:
    """Say of each claim from what to what, and whether it holds in every seed."""
    leads = functools.partial(_of_correlation, answers)
    fits = functools.partial(_of_reconstruction, answers)
    persons = functools.partial(_of_identification, answers)
    effects = [
        _effect(
            f"alignment raises the correlation of leads: untrained to {plan.called}",
            leads(correlation.UNTRAINED),
            leads(correlation.MODEL),
        ),
        _effect(
            f"alignment raises the correlation of leads: {plan.unaligned} to {plan.called}",
            leads(plan.unaligned),
            leads(correlation.MODEL),
        ),
        *(
            _effect(
                f"twelve leads from lead I: {name} to decoders, correlation",
                fits(name),
                fits(reconstruction.MODEL),
                _sure(answers, name),
            )
            for name in reconstruction.BASELINES
        ),
        *(
            _effect(
                f"identification by lead I: {name} to {identification.MODEL}, rank 1",
                persons(name),
                persons(identification.MODEL),
            )
            for name in (identification.RANDOM, identification.BEAT)
        ),
    ]
    for alone in plan.alone.values():
        effects += [
            _effect(
                f"{figure}: {alone} to {plan.called}",
                schedules[alone][figure],
                schedules[plan.called][figure],
                _sure(answers, alone) if figure == _TWELVE else (),
            )
            for figure in schedules[plan.called]
        ]
    return effects


def _sure(answers: Sequence[Answers], name: str) -> list[bool]:
    """Say for each seed whether the interval of the difference in correlation is above 0."""
    return [of["reconstruction"]["correlation_above"][name]["low"] > 0 for of in answers]


def _of_correlation(answers: Sequence[Answers], name: str) -> list[float]:
    return [of["correlation"]["networks"][name]["centred"]["mean"] for of in answers]


def _of_reconstruction(answers: Sequence[Answers], name: str) -> list[float]:
    return [of["reconstruction"]["fits"][name]["mean_correlation"] for of in answers]


def _of_identification(answers: Sequence[Answers], name: str) -> list[float]:
    return [of["identification"]["found"][name][_RULE]["rank1"] for of in answers]


def _effect(
    claim: str,
    before: Sequence[float | None],
    after: Sequence[float | None],
    sure: Sequence[bool] = (),
) -> dict[str, Any]:
    """Return a claim; it holds if the figure rises in every seed, and is *sure* to where that is
    known."""
    rises = [
        one is not None and other is not None and other > one
        for one, other in zip(before, after, strict=True)
    ]
    return {
        "claim": claim,
        "from": _mean(before),
        "to": _mean(after),
        "holds": all(rises) and all(sure),
    }


def _markdown(plan: Leads, report: Mapping[str, Any], dest: Path) -> str:
    sizes = report["sizes"]
    seeds = f"{report['seeds']} seed{'' if report['seeds'] == 1 else 's'}"
    parts = [
        f"# {plan.heading} on a synthetic cohort\n\nCohort version {report['cohort_version']}, "
        f"{report['host']}, {seeds}, "
        f"{report['seconds']:.0f} s; {sizes['unlabelled'] - sizes['unlabelled_valid']} unlabelled "
        f"records to train on, {sizes['epochs']} epochs. Means over seeds.",
        "## What is shown, and what is not\n\nA claim holds if the figure rises in every seed and, "
        "for twelve leads from one, the 95 % interval of the difference over patients is above 0."
        f"\n\n{_claims(report['effects'])}",
        f"## The {plan.called} and each loss alone\n\n{_schedules(report['schedules'])}\n\n"
        + _verdict(plan.called, report["schedules"]),
        f"## Cross-lead correlation\n\n![](correlation.png)\n\n{_study(dest, 'correlation')}",
        "## Twelve leads from one\n\n![](reconstruction.png)\n\n" + _study(dest, "reconstruction"),
        "## Infarction: mean AUC of the nine types, linear probe\n\n"
        + _infarction(plan.method, report)
        + "\n\nAll figures: infarction/report.md",
        f"## Identification\n\n{_study(dest, 'identification')}",
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _study(dest: Path, name: str) -> str:
    return (dest / "seed1" / f"{name}.md").read_text(encoding="utf-8")


def _claims(effects: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [of["claim"], _number(of["from"]), _number(of["to"]), "yes" if of["holds"] else "**no**"]
        for of in effects
    ]
    return markdown.table(["claim", "from", "to", "holds"], rows)


def _schedules(schedules: Mapping[str, Mapping[str, Sequence[float | None]]]) -> str:
    figures = list(next(iter(schedules.values())))
    rows = [
        [name, *(_number(_mean(of[figure])) for figure in figures)]
        for name, of in schedules.items()
    ]
    return markdown.table(["training", *figures], rows)


def _verdict(called: str, schedules: Mapping[str, Mapping[str, Sequence[float | None]]]) -> str:
    """Say in words where the whole method is best, and where it is not."""
    means = {
        name: {figure: _mean(values) or 0.0 for figure, values in of.items()}
        for name, of in schedules.items()
    }
    best = [
        figure
        for figure, value in means[called].items()
        if all(value > of[figure] for name, of in means.items() if name != called)
    ]
    others = [figure for figure in schedules[called] if figure not in best]
    if not others:
        return f"The {called} beats each loss alone in every figure."
    if not best:
        return f"The {called} beats the losses alone in no figure."
    return (
        f"The {called} beats each loss alone in: {'; '.join(best)}. It does not in: "
        f"{'; '.join(others)}."
    )


def _infarction(method: str, report: Mapping[str, Any]) -> str:
    by_method = [[name, _number(value)] for name, value in report["infarction"].items()]
    by_lead = report["infarction_by_lead"]
    of_leads = [method, *(_number(value) for value in by_lead.values())]
    return (
        markdown.table(["lead I", "AUC"], by_method)
        + "\n\n"
        + markdown.table(["lead of the probe", *by_lead], [of_leads])
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
