"""What a benchmark was given that none of its trainings uses."""

from __future__ import annotations

from selfmis_plugin.benchmark.settings import Settings, given_file
from selfmis_plugin.benchmark.sources import asked_cells, stages_by_name
from selfmis_plugin.methods.method import LABELLED

__all__ = ["unused"]


def unused(settings: Settings) -> list[str]:
    """Say what is of no training of the run, a line each, by the options of ``benchmark mi``.

    It is no mistake by itself: the folder of a benchmark keeps to what it was begun with, also
    where the command is given again with fewer rows.

    Parameters
    ----------
    settings
        What is asked for; its data need not be there.

    Raises
    ------
    InfarctionError
        If a method starts from something that there is not.
    """
    cells = asked_cells(settings)
    stages = stages_by_name(settings, cells)
    trained = [stage for stage in stages.values() if given_file(settings, stage) is None]
    named = {
        "",
        *(stage.name for stage in trained),
        *(cell.mode for cell in cells),
        *(f"{cell.method.name}/{cell.mode}" for cell in cells),
    }
    wanted = {stage.given_by for stage in stages.values()}
    read = {LABELLED, *(stage.data for stage in trained)}
    options = [
        *(f"--set {name}:..." for name in settings.overrides if name not in named),
        *(f"--{name.replace('_', '-')}" for name in settings.given if name not in wanted),
        *(f"--{role}" for role in settings.data if role not in read),
        *(["--budget"] if settings.budget is not None and not trained else []),
    ]
    return [f"{option} is of no training of these rows, and is not used" for option in options]
