"""What an earlier export, or whoever had the folder since, says of rights in a model's weights."""

from __future__ import annotations

from pathlib import Path

import yaml
from huggingface_hub import ModelCard

from selfmis_plugin.checkpoints.model_folder import CARD
from selfmis_plugin.checkpoints.reading import CheckpointError, first_line

__all__ = ["licence_of", "notices_of"]

#: Beginnings of names of files that go with the weights wherever these go.
_NOTICES = ("NOTICE", "LICENSE", "LICENCE", "COPYING")


def licence_of(checkpoint: Path) -> str | None:
    """Return the licence that the card of a model's folder names; None where none is named.

    Raises
    ------
    CheckpointError
        If there is a card, and its head cannot be read.
    """
    card = checkpoint / CARD
    if not card.is_file():
        return None
    try:
        said = ModelCard.load(card, ignore_metadata_errors=True).data.license
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(
            f"{card}: its head cannot be read ({first_line(error)}), so the licence of the weights "
            "is not known: say it with --licence ID"
        ) from error
    if said is None:
        return None
    if not isinstance(said, str):
        raise CheckpointError(
            f"{card}: names the licence {said!r}, and one name is kept: say it with --licence ID"
        )
    return said


def notices_of(checkpoint: Path) -> list[Path]:
    """Return the files of a model's folder that go with its weights: notices and licences."""
    if not checkpoint.is_dir():
        return []
    return sorted(
        file
        for file in checkpoint.iterdir()
        if file.is_file() and file.name.split(".")[0].upper() in _NOTICES
    )
