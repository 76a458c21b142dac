"""What a classifier of the infarction benchmark starts from, of its own method and of others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from selfmis_plugin.benchmark.commands import best_checkpoint
from selfmis_plugin.benchmark.settings import (
    Cell,
    InfarctionError,
    Settings,
    brought,
    cell_file,
    cell_run,
    stage_checkpoint,
    stage_file,
    stage_name,
)
from selfmis_plugin.methods.method import Mode, Source, Stage, with_its_sources

__all__ = [
    "asked_cells", "source_checkpoint", "source_files", "sources_of", "stages_by_name", "stages_of",
    "step_of", "with_sources",
]  # fmt: skip


def sources_of(settings: Settings, cell: Cell) -> dict[str, Cell | Stage]:
    """Return what makes the checkpoints that *cell* needs, by config key.

    Raises
    ------
    InfarctionError
        If it names a method or mode that there is not, or one that leaves no checkpoint.
    """
    classifier = cell.method.modes[cell.mode]
    if classifier.is_judged_alone and classifier.sources():
        raise InfarctionError(
            f"{_words(cell)} trains nothing, so it cannot start from anything: give it a config, "
            "or leave out starts_from"
        )
    named = classifier.sources().items()
    found = {key: _resolved(settings, cell, source) for key, source in named}
    if cell.method.encoder is not None and not classifier.untrained:
        found.setdefault(classifier.encoder_key, cell.method.encoder)
    return found


def with_sources(settings: Settings, cells: Iterable[Cell]) -> list[Cell]:
    """Return *cells* once each, those that others start from before them, but what another run
    has made.

    Raises
    ------
    InfarctionError
        As :func:`sources_of`, or if a cell starts from itself.
    """
    ordered: dict[str, Cell] = {}

    def add(cell: Cell, waiting: tuple[str, ...]) -> None:
        if cell.name in waiting:
            raise InfarctionError(f"{_words(cell)} starts from itself: mend starts_from")
        if cell.name not in ordered:
            for source in sources_of(settings, cell).values():
                if isinstance(source, Cell) and source.name not in settings.made:
                    add(source, (*waiting, cell.name))
            ordered[cell.name] = cell

    for cell in cells:
        add(cell, ())
    return list(ordered.values())


def stages_of(settings: Settings, cell: Cell) -> Iterator[Stage]:
    """Yield the stages whose checkpoints *cell* itself needs, each after what it starts from."""
    for source in sources_of(settings, cell).values():
        if isinstance(source, Stage):
            yield from with_its_sources(source)


def asked_cells(settings: Settings) -> list[Cell]:
    """Return a cell of each row that is asked for, of the first seed and fraction, and those that
    they start from.

    Raises
    ------
    InfarctionError
        If a method starts from something that there is not.
    """
    asked = [
        Cell(method, mode, settings.fractions[0], settings.seeds[0])
        for method in settings.methods
        for mode in settings.asked(method)
    ]
    return with_sources(settings, asked)


def stages_by_name(settings: Settings, cells: Iterable[Cell]) -> dict[str, Stage]:
    """Return by their names the stages of the methods' encoders, and what else cells need."""
    stages: dict[str, Stage] = {}
    for method in settings.methods:
        if method.encoder is not None:
            stages |= {stage.name: stage for stage in with_its_sources(method.encoder)}
    for cell in cells:
        stages |= {stage.name: stage for stage in stages_of(settings, cell)}
    return stages


def source_checkpoint(settings: Settings, source: Cell | Stage, seed: int) -> Path:
    """Return where the checkpoint of a source is."""
    if isinstance(source, Stage):
        return stage_checkpoint(settings, source, seed)
    return settings.made.get(source.name) or best_checkpoint(cell_run(settings, source))


def source_files(settings: Settings, sources: Iterable[Cell | Stage], seed: int) -> Iterator[Path]:
    """Yield the files that say how sources were made, of those that this benchmark makes itself."""
    for source in sources:
        if step_of(settings, source, seed) is None:
            continue
        if isinstance(source, Cell):
            yield cell_file(settings, source)
        else:
            yield stage_file(settings, source, seed)


def step_of(settings: Settings, source: Cell | Stage, seed: int) -> str | None:
    """Return the name of the step that makes a source; None where it is there."""
    if isinstance(source, Cell):
        return None if source.name in settings.made else source.name
    return None if brought(settings, source, seed) else stage_name(source, seed)


def _resolved(settings: Settings, cell: Cell, source: Source) -> Cell | Stage:
    if isinstance(source, Stage):
        return source
    named = source if isinstance(source, Mode) else Mode(cell.method.name, source)
    method = cell.method if named.method == cell.method.name else settings.known(named.method)
    if method is None:
        raise InfarctionError(
            f"{_words(cell)} starts from the method {named.method!r}, and there is none of that "
            f"name: there are {', '.join(settings.names())}. Mend starts_from, or give the file "
            "that defines it with --methods-from"
        )
    if named.mode not in method.modes:
        raise InfarctionError(
            f"{_words(cell)} starts from {named.mode!r} of {method.name}, which has "
            f"{', '.join(method.modes) or 'no mode'}: mend starts_from"
        )
    if method.modes[named.mode].is_judged_alone:
        raise InfarctionError(
            f"{_words(cell)} starts from {named.mode!r} of {method.name}, for which nothing is "
            "trained: name the stage of its encoder in starts_from"
        )
    return dataclasses.replace(cell, method=method, mode=named.mode)


def _words(cell: Cell) -> str:
    return f"{cell.mode} of {cell.method.name}"
