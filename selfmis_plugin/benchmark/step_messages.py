"""What a benchmark asks the workers of a cluster, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StepAnswer", "Request"]


@dataclass(frozen=True)
class Request:
    """What a worker is asked.

    Attributes
    ----------
    version
        Of the plugin that asks.
    site
        What the worker's machine must be like, pickled.
    work
        The step, pickled; None: only whether the machine is like that.
    folder
        What relative paths are relative to.
    """

    version: str
    site: bytes
    work: bytes | None
    folder: str


@dataclass(frozen=True)
class StepAnswer:
    """What a worker answers.

    Attributes
    ----------
    said
        What the step printed.
    seconds
        What it took.
    error
        What went wrong in the step; None: nothing.
    unfit
        Why the machine cannot take part, as what follows its name.
    machine
        The machine's name.
    """

    said: str = ""
    seconds: float = 0.0
    error: str | None = None
    unfit: str | None = None
    machine: str = ""
