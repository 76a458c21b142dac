"""The model that comes with the plugin, for whom none is named."""

from __future__ import annotations

from pathlib import Path

from selfmis_plugin.data.exported import WEIGHTS
from selfmis_plugin.predict.prediction import DISCLAIMER

__all__ = ["shipped_model", "shipped_model_line"]

#: Called as it is in messages; its card, ``README.md``, and ``NOTICE`` lie in it.
_FOLDER = Path(__file__).parent / "shipped" / "selfmis-lead-I"


def shipped_model() -> Path:
    """Return the folder of the model that comes with the plugin, as ``selfmis export`` wrote it.

    It reads lead I. What it is, on what it was trained, and how good its recipe was on records
    that it did not know, says its card, ``README.md`` in it.

    Raises
    ------
    FileNotFoundError
        If this installation lacks it.
    """
    if not (_FOLDER / WEIGHTS).is_file():
        raise FileNotFoundError(
            f"no model is named, and this installation lacks the one that comes with the plugin "
            f"({_FOLDER}): name one with --model, or install the plugin anew"
        )
    return _FOLDER


def shipped_model_line() -> str:
    """Return what to say first where it is used."""
    return f"Model: {_FOLDER.name}, which comes with the plugin. {DISCLAIMER}"
