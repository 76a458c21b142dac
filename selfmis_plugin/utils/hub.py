"""Models that are named as ``hf:ORG/NAME``: folders of the Hugging Face hub, brought here."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["HUB", "HubError", "on_this_machine"]

#: What the name of a model of the hub begins with; nothing else asks a network.
HUB = "hf:"

_NAME = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
#: What a model's folder has; nothing else of a repository is fetched.
_FILES = ["README.md", "config.json", "model.safetensors", "model.onnx"]


class HubError(ValueError):
    """A model of the hub cannot be had; the message says what to do."""


def on_this_machine(path: str | Path) -> Path:
    """Return where a model lies: its path, or the copy of what ``hf:ORG/NAME`` names.

    A copy is kept in the hub library's own cache, and fetched once a revision.

    Parameters
    ----------
    path
        A file or folder, or ``hf:ORG/NAME``, or ``hf:ORG/NAME@REVISION``.

    Raises
    ------
    HubError
        If the name is none, the library is not installed, or the hub does not give it.
    """
    text = str(path)
    if not text.startswith(HUB):
        return Path(path)
    found = _NAME.fullmatch(text.removeprefix(HUB))
    if found is None:
        raise HubError(f"{text}: is no name of the hub: write hf:ORG/NAME, or hf:ORG/NAME@REVISION")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise HubError(
            f"{text}: is fetched by huggingface_hub: pip install 'selfmis-plugin[hub]'"
        ) from error
    try:
        return Path(
            snapshot_download(
                found["repository"], revision=found["revision"], allow_patterns=_FILES
            )
        )
    except Exception as error:  # of whatever the library or the network makes of it
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise HubError(
            f"{text}: the hub does not give it ({type(error).__name__}: {line}): check the name, "
            "the network, and whether you may read it (hf auth login)"
        ) from error
