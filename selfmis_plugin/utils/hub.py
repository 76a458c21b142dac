"""Models that are named as ``hf:ORG/NAME``: folders of the Hugging Face hub, brought here."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

__all__ = ["HUB", "HubError", "on_this_machine", "push", "repository"]

#: What the name of a model of the hub begins with; nothing else asks a network.
HUB = "hf:"

_NAME = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
_NEEDS_LIBRARY = "needs huggingface_hub: pip install huggingface_hub"
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
        raise HubError(f"{text}: {_NEEDS_LIBRARY}") from error
    try:
        return Path(
            snapshot_download(
                found["repository"], revision=found["revision"], allow_patterns=_FILES
            )
        )
    except Exception as error:  # of whatever the library or the network makes of it
        raise HubError(
            f"{text}: the hub does not give it ({_line(error)}): check the name, the network, and "
            "whether you may read it (hf auth login)"
        ) from error


def repository(text: str) -> str:
    """Read the name of a repository of the hub, ``ORG/NAME``.

    Raises
    ------
    HubError
        If it is none, or the library is not installed.
    """
    found = _NAME.fullmatch(text)
    if found is None or found["revision"]:
        raise HubError(f"{text!r} is no name of a repository of the hub: write ORG/NAME")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise HubError(f"{text}: {_NEEDS_LIBRARY}")
    return text


def push(folder: Path, name: str) -> str:
    """Upload a folder to a repository of the hub, which is made, private, where there is none.

    Parameters
    ----------
    folder
        The folder, all of which becomes one commit.
    name
        The repository, ``ORG/NAME``.

    Returns
    -------
    str
        Where it lies.

    Raises
    ------
    HubError
        If the library is not installed, or the hub does not take it.
    """
    repository(name)
    from huggingface_hub import HfApi

    try:
        hub = HfApi()
        hub.create_repo(name, private=True, exist_ok=True)
        hub.upload_folder(
            repo_id=name, folder_path=folder, commit_message="A model of selfmis export"
        )
    except Exception as error:  # of whatever the library or the network makes of it
        raise HubError(
            f"{name}: the hub does not take it ({_line(error)}); {folder} is written: check the "
            "name, the network, and whether you may write there (hf auth login)"
        ) from error
    return f"{HUB}{name}"


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
