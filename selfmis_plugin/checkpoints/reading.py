"""Files of :func:`torch.save`, read without running code that they carry."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selfmis_plugin.checkpoints.tensors import odd_value
from selfmis_plugin.data.exported import CONFIG, WEIGHTS

__all__ = [
    "CheckpointError",
    "files_read",
    "first_line",
    "folder_of_weights",
    "mapping",
    "model_name",
    "not_whole",
    "note_read",
    "read_checkpoint",
    "refuse_absent",
    "some",
]

#: Where the best checkpoint lies below the folder that people name instead of it.
_RUN_FILES = ("checkpoint_best.pt", "checkpoints/checkpoint_best.pt")
#: Of a name in a list of names.
_LONGEST = 200
_DAMAGED = (
    "cannot be read as a PyTorch checkpoint: it is cut short, damaged or of another format; "
    "copy or download it again"
)


class CheckpointError(ValueError):
    """A file of weights that cannot be used; the message names it and says what to do."""


# Toolkits keep numbers of numpy's in the state of their progress metrics, and authors' scripts the
# arguments of their command line beside the weights.  Building one runs no code of the file.
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])
_PLAIN_GLOBALS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    _NUMPY_SCALAR,
    # numpy 2 moved it; files of either version are read by either, where torch takes a name.
    *(
        (_NUMPY_SCALAR, f"numpy.{core}.multiarray.scalar")
        for core in ("core", "_core")
        if _TORCH >= (2, 6)
    ),
    *(
        type(np.dtype(name))
        for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
    ),
]


def _plain_allowed() -> AbstractContextManager[Any]:
    """Let torch build what is plain; torch 2.4 can only be told for good."""
    if _TORCH >= (2, 5):
        return torch.serialization.safe_globals(_PLAIN_GLOBALS)
    torch.serialization.add_safe_globals(_PLAIN_GLOBALS)
    return nullcontext()


_files_read: ContextVar[dict[Path, None] | None] = ContextVar("files_read", default=None)


@contextmanager
def files_read() -> Iterator[dict[Path, None]]:
    """Collect the files of weights that are read meanwhile, as keys in their order.

    What a model is built from is known to its method alone, which may be anybody's; whoever reads
    weights does it here.
    """
    files: dict[Path, None] = {}
    token = _files_read.set(files)
    try:
        yield files
    finally:
        _files_read.reset(token)


def note_read(path: Path) -> None:
    """Add a file to those of :func:`files_read`."""
    files = _files_read.get()
    if files is not None:
        files[path.absolute()] = None


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file written by :func:`torch.save`, on the CPU, without running code from it.

    Parameters
    ----------
    path
        The file.  Files of the current format are memory-mapped, so that parts which are not used
        cost nothing; do not overwrite the file in place while the result is in use.

    Returns
    -------
    dict
        What was saved.

    Raises
    ------
    CheckpointError
        If the file is not there, is damaged, holds objects other than tensors, numbers, text and
        containers of them, or is not a dictionary.
    """
    path = Path(path)
    refuse_absent(path)
    _refuse_packed(path)
    try:
        with _plain_allowed():
            payload = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None
            )
    except pickle.UnpicklingError as error:
        refused = re.search(r"(?:GLOBAL|global:?)\s+(?:GLOBAL\s+)?`?([\w.]+)", str(error))
        if refused:
            raise CheckpointError(
                f"{path}: holds a Python object ({refused[1]}) beside weights, and objects in a "
                "file can run "
                "code when they are read: refused. Save its tensors and plain values only, with "
                "torch.save"
            ) from error
        raise CheckpointError(f"{path}: {_DAMAGED}") from error
    except Exception as error:  # whatever a damaged file makes of the libraries that read it
        raise CheckpointError(f"{path}: {_DAMAGED} ({first_line(error)})") from error
    if not isinstance(payload, dict):
        raise CheckpointError(
            f"{path}: holds a {type(payload).__name__}, not a dictionary of weights: save a state "
            "dict"
        )
    if problem := odd_value(payload):
        raise CheckpointError(
            f"{path}: {problem}: save plain tensors of what was trained, with torch.save"
        )
    note_read(path)
    return payload


def _refuse_packed(path: Path) -> None:
    """Raise a CheckpointError where an archive holds more than the file is long.

    PyTorch packs nothing; what others have packed may unpack to more than the memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return  # of the older format, or damaged
    if total > path.stat().st_size:
        raise CheckpointError(f"{path}: {_DAMAGED} (its parts are larger than the file)")


def refuse_absent(path: Path) -> None:
    """Raise a CheckpointError where *path* is not a file.

    Who takes exported folders too asks for them first.
    """
    if (path / CONFIG).is_file():
        raise CheckpointError(
            f"{path}: is an exported folder, which is not taken here: give the checkpoint_best.pt "
            "of the run that it was exported from"
        )
    if path.is_dir():
        best = next(
            (path / name for name in _RUN_FILES if (path / name).is_file()), "checkpoint_best.pt"
        )
        raise CheckpointError(
            f"{path}: is a folder, and none of `selfmis export`: give a checkpoint's file, such as "
            f"{best}"
        )
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file: check the path of the checkpoint")


def folder_of_weights(path: Path) -> Path | None:
    """Return the exported folder whose weights a file is; None of any other file."""
    folder = path.parent
    return folder if path.name == WEIGHTS and (folder / CONFIG).is_file() else None


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, its name where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def some(names: Iterable[Any], limit: int = 10) -> str:
    """Return the first of some names, and how many more there are."""
    listed = [str(name)[:_LONGEST] for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return (", ".join(listed[:limit]) or "nothing") + more


def mapping(value: Any) -> Mapping[str, Any]:
    """Return *value* if it is a mapping, and an empty one otherwise."""
    return value if isinstance(value, Mapping) else {}


def model_name(payload: Mapping[str, Any]) -> str | None:
    """Return the registered name of a training checkpoint's model; None where it says none."""
    name = mapping(mapping(payload.get("cfg")).get("model")).get("_name")
    return name if isinstance(name, str) else None


def not_whole(file: Path, error: Exception) -> CheckpointError:
    """Return the error for a training checkpoint that lacks what *error* says."""
    if isinstance(error, CheckpointError):
        return error
    why = f"it lacks {error.args[0]!r}" if isinstance(error, KeyError) else first_line(error)
    return CheckpointError(
        f"{file} is not a whole training checkpoint ({why}). Give the checkpoint_best.pt of a run"
    )
