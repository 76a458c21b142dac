"""What a Hydra command line says of configs, read without Hydra."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["config_dir", "config_name", "has_config_path", "has_own_configs"]

_DIR = ("--config-dir", "-cd")
_PATH = ("--config-path", "-cp")


def config_name(arguments: Sequence[str]) -> str | None:
    """Return the config that a command line names; None where it names none."""
    return _option(arguments, "--config-name", "-cn")


def config_dir(arguments: Sequence[str]) -> str | None:
    """Return the folder of configs that a command line adds; None where it adds none."""
    return _option(arguments, *_DIR)


def has_config_path(arguments: Sequence[str]) -> bool:
    """Whether a command line names a folder in place of the host's own configs."""
    return _has(arguments, _PATH)


def has_own_configs(arguments: Sequence[str]) -> bool:
    """Whether a command line names a folder of configs itself."""
    return _has(arguments, (*_DIR, *_PATH))


def _has(arguments: Sequence[str], options: Sequence[str]) -> bool:
    return any(argument.partition("=")[0] in options for argument in arguments)


def _option(arguments: Sequence[str], *names: str) -> str | None:
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option in names:
            return value if equals else next(iter(arguments[place + 1 : place + 2]), None)
    return None
