"""Values on command lines: what several commands ask for, read and refused alike."""

from __future__ import annotations

import argparse
import csv
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from selfmis_plugin.utils.parallel import usable_cores

__all__ = [
    "HUB_MODEL_HELP",
    "LABELS_HELP",
    "MODEL_HELP",
    "PICTURES",
    "add_checkpoint",
    "add_dest",
    "add_json",
    "add_origin",
    "default_workers",
    "known_names",
    "labels",
    "names",
    "parquet",
    "picture",
    "positive",
    "prevalence",
    "probability",
    "said",
    "share",
    "told",
    "whole",
    "whole_numbers",
    "workers",
]

Value = TypeVar("Value")

#: More processes than this wait for the disk, or for each other's memory.
_MOST_WORKERS = 8


def whole(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers of at least *least*."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return read


def whole_numbers(text: str) -> tuple[int, ...]:
    """Read whole numbers of at least 1, apart by commas, and ranges of them: ``1-8,10``."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last if dash else first)
        if not all(end.isdecimal() for end in ends) or not 1 <= int(first) <= int(ends[1]) < 1000:
            raise argparse.ArgumentTypeError(
                f"{part!r} is neither a whole number from 1 nor a range such as 1-8"
            )
        numbers += range(int(first), int(ends[1]) + 1)
    return tuple(sorted(set(numbers)))


#: What a command that judges or uses a model takes.
MODEL_HELP = (
    "a run's checkpoint_best.pt, a folder of selfmis export or its model.onnx, or an ECGFounder "
    "file"
)
#: The same of a command that also brings a model from the hub.
HUB_MODEL_HELP = f"{MODEL_HELP}, or hf:ORG/NAME, such a folder on the Hugging Face hub"


def add_checkpoint(parser: argparse.ArgumentParser, text: str) -> None:
    """Declare ``--checkpoint``, also called ``--model``."""
    parser.add_argument(
        "--checkpoint", "--model", type=Path, required=True, metavar="MODEL", help=text
    )


def add_dest(parser: argparse.ArgumentParser, text: str) -> None:
    """Declare ``--dest``, also called ``--out``: the folder to make."""
    parser.add_argument("--dest", "--out", type=Path, required=True, metavar="DIR", help=text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declare ``--json``."""
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="also write all figures there; - is the standard output, and what is else printed "
        "there goes to the standard error",
    )


def add_origin(parser: argparse.ArgumentParser) -> None:
    """Declare ``--origin``, of commands that make a store."""
    parser.add_argument(
        "--origin",
        type=said,
        metavar="TEXT",
        help="where the records come from, such as 'PTB-XL 1.0.3 of PhysioNet': every model that "
        "is trained on them says it; a synthetic cohort's is known, others' not recorded unless "
        "it is stated here",
    )


def said(text: str) -> str:
    """Read a text that is not empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty")
    return text


def names(text: str) -> tuple[str, ...]:
    """Read names apart by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def workers(text: str) -> int:
    """Read a number of processes."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes, at least 1")
    return int(text)


def default_workers() -> int:
    """Return the number of processes to use if none is asked for."""
    return min(_MOST_WORKERS, usable_cores())


def positive(text: str) -> float:
    """Read a number above zero."""
    value = _number(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return value


def share(text: str) -> float:
    """Read a share, above 0 and at most 1."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share, above 0 and at most 1")
    return value


def probability(text: str) -> float:
    """Read a number from 0 to 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def told(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return a reader that says what *parse* says: argparse hides the text of a ValueError."""

    def read(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def prevalence(text: str) -> dict[str, float]:
    """Read how common labels are: one share for all, named ``""``, or ``AMI=0.02,IMI=0.03``.

    A name with a comma stands in quotation marks, as in CSV.

    >>> prevalence('AMI=0.02,"block, left"=0.03')
    {'AMI': 0.02, 'block, left': 0.03}
    """
    found: dict[str, float] = {}
    for part in _columns(text):
        name, given, value = part.rpartition("=")
        name, share_ = name.strip(), _number(value)
        if not 0 < share_ < 1 or name in found or bool(given) != bool(name):
            raise argparse.ArgumentTypeError(
                f"{part!r} is not a prevalence: give one share of 1, such as 0.05, for all labels, "
                "or one a label, such as AMI=0.02,IMI=0.03; a name with a comma in quotation "
                "marks, as in '\"block, left\"=0.03'"
            )
        found[name] = share_
    if "" in found and len(found) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} has a share without a label among others")
    return found


#: What :func:`labels` is for, where a command takes it.
LABELS_HELP = (
    "what the outputs of a fine-tuned ECGFounder file mean, in their order: names apart by commas, "
    "or a text file with one a line"
)


def labels(text: str) -> tuple[str, ...]:
    """Read names of labels: apart by commas, or the lines of a file."""
    file = Path(text)
    try:
        # Path.is_file does not take a text that is too long for a name.
        is_file = os.path.isfile(text)
        parts = file.read_text(encoding="utf-8").splitlines() if is_file else text.split(",")
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{file}: cannot be read as text ({error})") from None
    names = tuple(name for part in parts if (name := part.strip()))
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no label")
    return names


#: Ends of the names of pictures that can be written.
PICTURES = (".png", ".pdf", ".svg", ".eps", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


def picture(text: str) -> Path:
    """Read the name of a picture to write, whose type its end says."""
    file = Path(text)
    if file.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(
            f"{text}: a picture's name ends in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}"
        )
    return file


def parquet(text: str) -> Path:
    """Read the name of a Parquet file to write."""
    file = Path(text)
    if file.suffix.lower() != ".parquet":
        raise argparse.ArgumentTypeError(f"{text}: give a name that ends in .parquet")
    return file


def known_names(
    known: Sequence[str], further: Iterable[str] = ()
) -> Callable[[str], tuple[str, ...]]:
    """Return a reader of comma-separated names, each one of *known*, or of *further* ones, which
    are too many to list in a message."""
    accepted = {*known, *further}

    def read(text: str) -> tuple[str, ...]:
        names = tuple(name for name in text.split(",") if name)
        unknown = [name for name in names if name not in accepted]
        if unknown or not names:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown) or 'nothing'} is none of {', '.join(known)}"
            )
        return tuple(dict.fromkeys(names))

    return read


def _columns(text: str) -> list[str]:
    """Part a line at its commas, but at those within quotation marks."""
    try:
        return next(csv.reader([text], skipinitialspace=True), None) or [""]
    except csv.Error:  # a break of lines, which no list of one line has
        return [text]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
