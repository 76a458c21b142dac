"""The command ``selfmis``."""

from __future__ import annotations

import argparse
import importlib
import os
import select
import sys
from collections.abc import Sequence

from selfmis_plugin import compat
from selfmis_plugin._version import __version__

# A worker that the host spawns imports the program it was started from before anything else. This
# is the one moment at which the toolkit can still be prepared for this Python there.
compat.apply_in_spawned_worker()

#: Command, module and what it does. A module is imported only when its command is given: training
#: should not wait for what draws pictures, nor preparation for PyTorch.
COMMANDS: dict[str, tuple[str, str]] = {
    "prepare": ("selfmis_plugin.cli.prepare", "turn a database of WFDB records into a store"),
    "show": ("selfmis_plugin.cli.show", "draw a store's overview, or one of its records"),
    "train": ("selfmis_plugin.cli.train", "train; takes the arguments of fairseq-hydra-train"),
    "evaluate": ("selfmis_plugin.cli.evaluate", "AUCs of a checkpoint on a split of a store"),
    "benchmark": ("selfmis_plugin.cli.benchmark", "speed, memory and methods against a reference"),
    "embed": ("selfmis_plugin.cli.embed", "embeddings of a store for a classifier of your own"),
    "predict": ("selfmis_plugin.cli.predict", "infarction probabilities of single recordings"),
    "export": ("selfmis_plugin.cli.export", "a classifier as a folder to upload, or as ONNX"),
    "report": ("selfmis_plugin.cli.report", "a trained classifier as one HTML page with pictures"),
    "doctor": ("selfmis_plugin.cli.doctor", "what is installed here, and what to do about it"),
    "demo": ("selfmis_plugin.cli.demo", "the main job from start to end on a synthetic cohort"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    listing = "\n".join(f"  {name:11}{text}" for name, (_, text) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="selfmis",
        description="SelfMIS: single-lead ECG encoders that see infarction.",
        epilog=f"commands:\n{listing}\n\n'selfmis COMMAND --help' says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"selfmis {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    command = parser.parse_args(arguments[:1]).command
    module = importlib.import_module(COMMANDS[command][0])
    try:
        status = int(module.main(arguments[1:]))
        sys.stdout.flush()
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        return 1
    return status


def _output_is_closed() -> bool:
    """Whether who reads the output has gone, as ``head`` does; then nothing more is written."""
    try:
        output = sys.stdout.fileno()
    except (AttributeError, OSError):  # replaced by an object without a file
        return False
    poll = select.poll()
    poll.register(output, 0)
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        return False
    # Python flushes once more at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
