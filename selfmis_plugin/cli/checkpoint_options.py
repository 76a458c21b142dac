"""Options of the benchmarks that ask a checkpoint, and others beside it, about data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfmis_plugin.benchmark.studies.study import Answer

__all__ = ["add_checkpoint_options", "hand_over"]


def add_checkpoint_options(parser: argparse.ArgumentParser, name: str, data: str) -> None:
    """Add ``--checkpoint``, ``--against``, ``--data``, ``--split`` and ``--dest``.

    Parameters
    ----------
    parser
        Where to add them.
    name
        Name of the benchmark: its folder.
    data
        What the data have to be.
    """
    parser.add_argument(
        "--checkpoint", "--model", type=Path, required=True, help="a run's checkpoint_best.pt"
    )
    parser.add_argument(
        "--against",
        type=_named,
        action=_ByName,
        default={},
        metavar="NAME=CHECKPOINT",
        help="another checkpoint to compare with, such as one without alignment; repeatable",
    )
    parser.add_argument("--data", type=Path, required=True, help=data)
    parser.add_argument("--split", default="test", help="which manifest (default: test)")
    parser.add_argument(
        "--dest",
        "--out",
        type=Path,
        default=Path("outputs") / name,
        help="folder to fill (%(default)s)",
    )


def hand_over(answer: Answer, dest: Path) -> int:
    """Write and print a study's answer; return the exit status."""
    from selfmis_plugin.benchmark.studies.study import write_answer

    paths = write_answer(answer, dest)
    print(answer.text)
    print("\n".join(map(str, paths)))
    return 0


class _ByName(argparse.Action):
    """Gathers paths by their names, each of which stands for one of them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add a name with its path."""
        name, path = values
        found = getattr(namespace, self.dest)
        if name in found:
            raise argparse.ArgumentError(self, f"{name} is given twice: call one of them otherwise")
        setattr(namespace, self.dest, {**found, name: path})


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not name or not equals or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=CHECKPOINT")
    return name, Path(path)
