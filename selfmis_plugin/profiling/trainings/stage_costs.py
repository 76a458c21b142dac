"""What each pre-training of the infarction benchmark takes for an ECG."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints import read_checkpoint
from selfmis_plugin.methods.method import Method
from selfmis_plugin.profiling.trainings.costs import counted_cost
from selfmis_plugin.profiling.trainings.models import recipe_of_run
from selfmis_plugin.utils.messages import without_messages

__all__ = ["costs_of_stages"]


def costs_of_stages(
    dest: Path, trained: Iterable[Mapping[str, Any]], methods: Iterable[Method]
) -> dict[str, Any]:
    """Count what each pre-training takes for an ECG.

    Parameters
    ----------
    dest
        Folder of the benchmark.
    trained
        The ``stages`` that :func:`~selfmis_plugin.benchmark.infarction.run_infarction` returned.
        A stage is counted once, whatever its seeds; one without a checkpoint is left out.
    methods
        The methods that the stages belong to.

    Returns
    -------
    dict
        Figures of :class:`~selfmis_plugin.profiling.trainings.costs.Cost`, by the stage's name.
    """
    stages = {stage.name: stage for method in methods for stage in method.stages()}
    found: dict[str, Any] = {}
    with without_messages(), tempfile.TemporaryDirectory() as folder:
        for done in trained:
            if done["stage"] not in found and "checkpoint" in done:
                cfg = read_checkpoint(dest / done["checkpoint"])["cfg"]
                export = stages[done["stage"]].export
                recipe = recipe_of_run(cfg, export, Path(folder))
                found[done["stage"]] = counted_cost(recipe.build()).to_dict()
    return found
