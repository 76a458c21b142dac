"""Files of the user's that take the place of pre-trainings: whether they are there, and suit."""

from __future__ import annotations

from selfmis_plugin.benchmark.settings import InfarctionError, Settings, given_file
from selfmis_plugin.benchmark.sources import asked_cells, sources_of, stages_by_name
from selfmis_plugin.checkpoints import CheckpointError, load_encoder_weights
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.checkpoints.model_folder import is_model_folder
from selfmis_plugin.methods.method import Stage

__all__ = ["option_of", "refuse_absent_files", "refuse_unfit_files"]

_LEADS = "task.leads"


def option_of(stage: Stage) -> str:
    """Return the option of ``benchmark mi`` that gives a stage's file."""
    return f"--{(stage.given_by or '').replace('_', '-')}"


def refuse_absent_files(settings: Settings) -> None:
    """Refuse a given file that is not there, or a folder that is none of ``selfmis export``.

    Raises
    ------
    InfarctionError
        If there is one.
    """
    for name, path in settings.given.items():
        option = f"--{name.replace('_', '-')}"
        if not path.exists():
            raise InfarctionError(f"{option} {path}: no such file: check the path")
        if path.is_dir() and not is_model_folder(path):
            raise InfarctionError(
                f"{option} {path}: a folder, and none of `selfmis export`: give a checkpoint's "
                "file, such as the checkpoint_best.pt of a run"
            )


def refuse_unfit_files(settings: Settings) -> None:
    """Refuse a given file that a training would refuse in the end: one that cannot be read, or
    whose encoder reads other leads than the stage's.

    A file that is judged by its own head alone is not asked for an encoder.

    Parameters
    ----------
    settings
        Of the benchmark, with the methods that can be trained here.

    Raises
    ------
    InfarctionError
        If there is one, or a method starts from something that there is not.
    """
    cells = asked_cells(settings)
    stages = stages_by_name(settings, cells)
    begun_with = [source for stage in stages.values() for source in stage.starts_from.values()]
    for cell in cells:
        if not cell.method.modes[cell.mode].is_judged_alone:
            begun_with += [s for s in sources_of(settings, cell).values() if isinstance(s, Stage)]
    # Who sets leads may have a file of these.
    own_leads = any(key.endswith("leads") for keys in settings.overrides.values() for key in keys)
    for stage in {stage.name: stage for stage in begun_with}.values():
        file = given_file(settings, stage)
        if file is None:
            continue
        leads = stage.overrides.get(_LEADS)
        try:
            if not isinstance(leads, tuple) or own_leads:
                read_facts(file)
                continue
            tower = load_encoder_weights(file, "single" if len(leads) == 1 else "multi")
        except CheckpointError as error:
            raise InfarctionError(f"{option_of(stage)}: {error}") from error
        if tower.in_leads not in (0, len(leads)):
            raise InfarctionError(
                f"{option_of(stage)}: {file}: its encoder reads {tower.in_leads} leads, and "
                f"{stage.name} has {len(leads)} ({', '.join(leads)}): give a file of these"
            )
