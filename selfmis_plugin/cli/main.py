"""The command ``selfmis``."""

from __future__ import annotations

import argparse
import io
import os
import select
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from selfmis_plugin import compat
from selfmis_plugin._version import __version__
from selfmis_plugin.compat.installed import NO_TOOLKIT, brings
from selfmis_plugin.utils.disk import FULL, WriteError
from selfmis_plugin.utils.plugin_error import PluginError

# A worker that the host spawns imports the program it was started from before anything else. This
# is the one moment at which the toolkit can still be prepared for this Python there.
compat.apply_in_spawned_worker()

#: What the commands do.
COMMANDS = {
    "prepare": "turn a database of WFDB records into a store",
    "show": "draw a store's overview, or one of its records",
    "configs": "what can be trained, with a line each",
    "train": "train as a config says; takes the arguments of fairseq-hydra-train",
    "evaluate": "AUCs of a checkpoint on a split of a store",
    "benchmark": "speed, memory and methods against a reference",
    "embed": "embeddings of a store for a classifier of your own",
    "predict": "infarction probabilities of single recordings",
    "serve": "a page on which recordings are dropped, with what a model says of them",
    "export": "a classifier as a folder to upload, or as ONNX",
    "report": "a trained classifier as one HTML page with pictures",
    "doctor": "what is installed here, and what to do about it",
    "demo": "the main job from start to end on a synthetic cohort",
}


#: What is kept where Ctrl-C ends a command; the others have nothing to keep.
KEPT = {
    "train": "the last checkpoint is kept, and the same command goes on from it",
    "benchmark": "what was finished is kept in its folder, and the same command goes on from there",
    "demo": "the steps that are done are kept, and the same command goes on from there",
}

#: Exit status after Ctrl-C, by the shell's custom.
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    _write_any_text()
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = _parser().parse_args(arguments[:1]).command
    try:
        status = _command(command)(arguments[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        kept = KEPT.get(command, "nothing was written")
        print(f"\nselfmis {command}: interrupted; {kept}", file=sys.stderr)
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if not brings(error.name):
            raise
        print(f"selfmis {command}: {NO_TOOLKIT}", file=sys.stderr)
        return 1
    except PluginError as error:
        print(f"selfmis {command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        return 1
    except WriteError as error:
        print(f"selfmis {command}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if not _output_is_full(error):
            raise
        print(f"selfmis {command}: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return status


def _write_any_text() -> None:
    """Escape what the standard output cannot hold, as the standard error does it: a name that is
    not UTF-8, or a sign that the terminal's encoding has not."""
    output = sys.stdout
    if isinstance(output, io.TextIOWrapper) and output.errors == "strict":
        output.reconfigure(errors="backslashreplace")


def _parser() -> argparse.ArgumentParser:
    listing = "\n".join(f"  {name:11}{text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="selfmis",
        description="SelfMIS: single-lead ECG encoders that see infarction.",
        epilog=f"commands:\n{listing}\n\n'selfmis COMMAND --help' says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"selfmis {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    return parser


def _complete() -> None:
    """Say what may come next on a shell's command line, and end."""
    import argcomplete

    program, _, rest = os.environ["COMP_LINE"].lstrip().partition(" ")
    name = rest.split(" ")[0]
    # The command's own parser knows what comes after its name.
    if name in COMMANDS and " " in rest and hasattr(module := _module(name), "parser"):
        os.environ["COMP_LINE"] = rest
        point = int(os.environ["COMP_POINT"]) - len(program) - 1
        os.environ["COMP_POINT"] = str(point)
        argcomplete.autocomplete(module.parser())
    parser = _parser()
    parser.add_argument("rest", nargs="*")
    argcomplete.autocomplete(parser)


def _command(name: str) -> Callable[[Sequence[str]], int]:
    """Return what runs a command."""
    run: Callable[[Sequence[str]], int] = _module(name).main
    return run


def _module(name: str) -> ModuleType:
    """Return the module of a command.

    It is imported only when it is given: training should not wait for what draws pictures,
    nor preparation for PyTorch.
    """
    match name:
        case "prepare":
            from selfmis_plugin.cli import prepare

            return prepare
        case "show":
            from selfmis_plugin.cli import show

            return show
        case "configs":
            from selfmis_plugin.cli import configs

            return configs
        case "train":
            from selfmis_plugin.cli import train

            return train
        case "evaluate":
            from selfmis_plugin.cli import evaluate

            return evaluate
        case "benchmark":
            from selfmis_plugin.cli import benchmark

            return benchmark
        case "embed":
            from selfmis_plugin.cli import embed

            return embed
        case "predict":
            from selfmis_plugin.cli import predict

            return predict
        case "serve":
            from selfmis_plugin.cli import serve

            return serve
        case "export":
            from selfmis_plugin.cli import export

            return export
        case "report":
            from selfmis_plugin.cli import report

            return report
        case "doctor":
            from selfmis_plugin.cli import doctor

            return doctor
        case "demo":
            from selfmis_plugin.cli import demo

            return demo
    raise ValueError(f"no command {name!r}")


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
    _write_no_more(output)
    return True


def _output_is_full(error: OSError) -> bool:
    """Whether it is the standard output that takes no more; then nothing more is written."""
    if error.errno not in FULL or error.filename is not None:
        return False
    try:
        sys.stdout.flush()
    except OSError:
        _write_no_more(sys.stdout.fileno())
        return True
    return False


def _write_no_more(output: int) -> None:
    # Python flushes once more at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)


if __name__ == "__main__":
    raise SystemExit(main())
