"""What runs each kind of demo. It imports the training toolkit, whose name is in every report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfmis_plugin.benchmark.commands import CommandError
from selfmis_plugin.demo import few_labels, leads
from selfmis_plugin.demo.demo import DEMO_COHORT, DemoError
from selfmis_plugin.methods.demo_plan import Demo, FewLabels, Leads

__all__ = ["CommandError", "DemoError", "run_demo"]

_ENGINES: dict[type[Demo], Callable[..., dict[str, Any]]] = {
    FewLabels: few_labels.run_demo,
    Leads: leads.run_demo,
}


def run_demo(
    demo: Demo,
    dest: Path,
    seeds: int,
    scale: float,
    workers: int,
    version: int = DEMO_COHORT,
) -> dict[str, Any]:
    """Run a demo by the engine of its kind; see those for what it does.

    Raises
    ------
    DemoError
        If nothing runs its kind, or it cannot be run as asked.
    CommandError
        If a step fails; the message names the step's log.
    """
    for kind, engine in _ENGINES.items():
        if isinstance(demo, kind):
            return engine(demo, dest, seeds, scale, workers, version)
    raise DemoError(
        f"{demo.name}: nothing runs a {type(demo).__name__}: make it one of "
        f"{', '.join(kind.__name__ for kind in _ENGINES)}"
    )
