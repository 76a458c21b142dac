"""What a config says, before anything is composed with it."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from selfmis_plugin.training.configs import config_file

__all__ = ["config_content"]


def config_content(name: str) -> dict[str, Any]:
    """Return the keys and values of a config's file.

    Raises
    ------
    FileNotFoundError
        If there is none of that name.
    """
    values = OmegaConf.to_container(OmegaConf.load(config_file(name)))
    return dict(values)  # type: ignore[arg-type]
