"""What computes parts in tests, importable by worker processes without a toolkit."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa


@dataclass(frozen=True)
class Squares:
    """Computes squares; dies once where it is told to, and notes how often it computes each."""

    folder: Path
    dies_at: int = -1

    def __call__(self, numbers: Sequence[int]) -> pa.Table:
        if self.dies_at in numbers and not (self.folder / "died").exists():
            (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        for number in numbers:
            with (self.folder / f"computed-{number}").open("a") as file:
                file.write("x")
        return pa.table({"number": list(numbers), "square": [n * n for n in numbers]})

    def times(self) -> set[int]:
        """Return how often numbers were computed."""
        return {path.stat().st_size for path in self.folder.glob("computed-*")}
