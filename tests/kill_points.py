"""A program: prepare a folder, killed before every single thing it does to the disk in turn.

``python -m tests.kill_points ROOT FOLDER REFERENCE OLD EVERY`` tries every EVERY-th moment and
prints how many there are. The run is to replace the store OLD. After each kill the same call is
made again, and the store must be REFERENCE's to the byte.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfmis_plugin.preparation.databases import wfdb_folder
from selfmis_plugin.preparation.run import prepare_database

#: What changes something on the disk, or makes sure that it is there.
CALLS = ("fsync", "pwrite", "rename", "replace", "link", "unlink", "mkdir", "truncate", "rmdir")


def prepare(root: Path, dest: Path) -> None:
    """Prepare the folder as a user would, replacing what is there."""
    listing = wfdb_folder.list_records(root)
    summary = prepare_database(listing, dest, overwrite=True, part_records=3)
    dest.with_name("summary").write_text(str(summary))


def killed_before(number: int) -> None:
    """End this process by SIGKILL before the given call."""
    counter, fsync = itertools.count(), os.fsync

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **settings: Any) -> Any:
            if next(counter) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            # What a killed process has written is there without, and this takes most of the time.
            return None if call is fsync else call(*args, **settings)

        return wrapped

    for name in CALLS:
        setattr(os, name, wrap(getattr(os, name)))


def in_child(task: Callable[[], None]) -> int:
    """Run a task in a process of its own; return its status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        task()
    except SystemExit as error:
        if isinstance(error.code, int):
            os._exit(error.code)
        print(error.code, file=sys.stderr, flush=True)
        os._exit(1)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def content(store: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a store."""
    return {path.name: path.read_bytes() for path in sorted(store.iterdir())}


def main(root: Path, folder: Path, reference: Path, old: Path, every: int) -> None:
    """Try the moments."""
    expected = content(reference)
    dest = folder / "s"
    for number in itertools.count(0, every):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old, dest)

        def interrupted(number: int = number) -> None:
            killed_before(number)
            prepare(root, dest)

        status = in_child(interrupted)
        found = content(dest) if dest.exists() else {}
        # The old store or the new one; for the moment between two renames none, but never half.
        assert found in ({}, content(old), expected), f"{number}: half a store"
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, f"{number}: status {status}"
        assert in_child(lambda: prepare(root, dest)) == 0, f"{number}: does not go on"
        assert content(dest) == expected, f"{number}: another store"
        left = {path.name for path in folder.iterdir()} - {"s", "summary"}
        assert not left, f"{number}: leaves {left}"
    print(number)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]), int(sys.argv[5]))
