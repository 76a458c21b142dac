"""Training from Python, such as a notebook: ``selfmis train`` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfmis_plugin.training.run_log import JSON_FILE

__all__ = ["Run", "TrainingError", "train"]

#: Lines of a failed training that its error shows.
_SHOWN = 100


class TrainingError(RuntimeError):
    """A training was refused or failed; the message is the end of what it said."""


@dataclass(frozen=True)
class Run:
    """A training that has ended.

    Attributes
    ----------
    folder
        The run's folder, absolute.
    best_checkpoint
        The checkpoint of its best validation; None where it has kept none.
    figures
        That validation's figures, and its ``epoch``; empty without one.
    curves
        By figure and split (``train``, ``valid``), pairs of epoch and value.
    """

    folder: Path
    best_checkpoint: Path | None
    figures: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, list[list[float]]]] = field(default_factory=dict, repr=False)


def train(
    config: str,
    /,
    *,
    folder: str | os.PathLike[str] | None = None,
    config_dir: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    **overrides: Any,
) -> Run:
    """Train as ``selfmis train CONFIG KEY=VALUE ...`` does, in a process of its own.

    The same call again goes on where it was, or ends at once where nothing is left. An interrupt
    keeps the last checkpoint.

    Parameters
    ----------
    config
        Name of a config, such as ``selfmis_pretrain_small``.
    folder
        The run's folder; by default ``outputs/CONFIG``.
    config_dir
        A folder of your own configs.
    quiet
        Whether to print nothing of what it says meanwhile; the log is in the run's folder.
    **overrides
        Config keys: a group's keys as a mapping (``task={"data": "stores/ptbxl"}``), or dotted
        (``**{"task.data": "stores/ptbxl"}``). A relative path is read from the current folder.

    Returns
    -------
    Run
        Where it lies, its best checkpoint and that one's figures.

    Raises
    ------
    TrainingError
        If it is refused, or fails.
    KeyboardInterrupt
        If it is interrupted, after it has ended.

    Examples
    --------
    ::

        from selfmis_plugin import load_encoder, train

        run = train(
            "selfmis_pretrain_small",
            task={"data": "stores/ptbxl"},
            model={"multi_lead_checkpoint": "twelve_lead.pt"},
            optimization={"max_epoch": 4},
        )
        print(run.figures["r10"])
        encoder = load_encoder(run.best_checkpoint)
    """
    run = Path(folder if folder is not None else Path("outputs") / config).absolute()
    arguments = ["--config-name", config]
    arguments += [] if config_dir is None else ["--config-dir", os.fspath(config_dir)]
    given = {"hydra.run.dir": run, **dict(_flat(overrides))}
    arguments += [f"{key}={_as_override(value)}" for key, value in given.items()]
    _run([sys.executable, "-m", "selfmis_plugin.cli.main", "train", *arguments], quiet)
    return _result(run)


def _flat(values: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{start}{name}.")
        else:
            yield f"{start}{name}", value


def _as_override(value: Any) -> str:
    # JSON's words, numbers, quoted texts and lists are those of Hydra's overrides.
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    """A path as text, and a number of NumPy or PyTorch as Python's."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value.item()


def _run(command: list[str], quiet: bool) -> None:
    end: deque[str] = deque(maxlen=_SHOWN)
    # In a session of its own: a terminal's Ctrl-C would reach it twice, a notebook's never.
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, encoding="utf-8", errors="replace", start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for line in process.stdout:
            end.append(line)
            if not quiet:
                print(line, end="", flush=True)
        status = process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        for line in process.stdout:
            print(line, end="", flush=True)
        process.wait()
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
    if status != 0:
        raise TrainingError("".join(end).strip() or f"it ended with status {status}")


def _result(run: Path) -> Run:
    try:
        about = json.loads((run / JSON_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        about = {}
    best = about.get("best_checkpoint")
    return Run(
        run,
        None if best is None else run / best,
        about.get("validation", {}),
        about.get("curves", {}),
    )
