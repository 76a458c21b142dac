"""What commands that ask a model about recordings take, and the model that is meant."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.data.thresholds import PUBLISHED_THRESHOLD
from selfmis_plugin.utils.arguments import HUB_MODEL_HELP, LABELS_HELP, labels, probability
from selfmis_plugin.utils.hub import on_this_machine

if TYPE_CHECKING:
    from selfmis_plugin.predict.strip_model import StripModel

__all__ = ["add_strip_model", "channel_names", "named_model", "strip_model"]

# Those of predict.prediction, whose import a parser should not wait for.
_PRECISIONS = ("float32", "bfloat16")


def add_strip_model(parser: argparse.ArgumentParser) -> None:
    """Declare ``--model``, ``--labels``, ``--quality`` and ``--precision``."""
    parser.add_argument(
        "--model",
        "--checkpoint",
        type=Path,
        metavar="MODEL",
        help=f"{HUB_MODEL_HELP}; only an exported folder has thresholds (default: the one that "
        "comes with the plugin, which reads lead I)",
    )
    parser.add_argument("--labels", type=labels, metavar="NAMES", help=LABELS_HELP)
    parser.add_argument(
        "--quality",
        type=probability,
        default=PUBLISHED_THRESHOLD,
        metavar="FIGURE",
        help="lowest mean correlation of the beats with the average beat, 0 to 1, of a window that "
        "is scored (default: %(default)s)",
    )
    parser.add_argument("--precision", choices=_PRECISIONS, default=_PRECISIONS[0])


def channel_names(text: str | None) -> tuple[str, ...] | None:
    """Return the names that ``--lead`` has, apart by commas."""
    return tuple(name.strip() for name in text.split(",")) if text else None


def named_model(options: argparse.Namespace) -> Path:
    """Return where the model lies that ``--model`` names, or the one that comes with the plugin,
    after a line that says so.

    Raises
    ------
    OSError, ValueError
        If there is none.
    """
    if options.model is not None:
        return on_this_machine(options.model)
    from selfmis_plugin.predict.shipped_model import shipped_model, shipped_model_line

    path = shipped_model()
    print(shipped_model_line(), flush=True)
    return path


def strip_model(path: Path, options: argparse.Namespace) -> StripModel:
    """Return the model at *path*, computed by :func:`add_strip_model`'s options.

    It is computed by onnxruntime where there is an ONNX file for it: PyTorch alone takes longer
    to import than all of the rest.

    Raises
    ------
    ValueError
        If it cannot be read, or is no classifier.
    """
    from selfmis_plugin.predict.onnx_model import OnnxModel, onnx_file, runs_here

    plain = options.precision == _PRECISIONS[0] and options.labels is None
    if plain and onnx_file(path) is not None and runs_here():
        return OnnxModel(path)
    from selfmis_plugin.predict.model import load_model

    return load_model(path, options.precision, options.labels)
