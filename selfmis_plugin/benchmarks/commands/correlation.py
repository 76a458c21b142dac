"""``selfmis benchmark correlation``: embeddings of a record's leads, before and after alignment."""

from __future__ import annotations

import argparse
from pathlib import Path

from selfmis_plugin.benchmarks.benchmark import Benchmark
from selfmis_plugin.studies.correlation import correlation_study
from selfmis_plugin.studies.study import write_answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    parser.add_argument("--checkpoint", type=Path, required=True, help="a run's checkpoint_best.pt")
    parser.add_argument("--data", type=Path, required=True, help="folder of a store or manifests")
    parser.add_argument("--split", default="test", help="which manifest (default: test)")
    parser.add_argument(
        "--before",
        type=_named,
        action="append",
        default=[],
        metavar="NAME=CHECKPOINT",
        help="another checkpoint to compare with, such as one before alignment; repeatable (an "
        "untrained network always is)",
    )
    parser.add_argument("--dest", type=Path, default=Path("outputs/correlation"))


def run(options: argparse.Namespace) -> int:
    """Correlate, write and print; return the exit status."""
    answer = correlation_study(
        options.checkpoint, options.data, options.split, dict(options.before)
    )
    print(answer.text)
    print("\n".join(map(str, write_answer(answer, options.dest))))
    return 0


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not name or not equals or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=CHECKPOINT")
    return name, Path(path)


BENCHMARK = Benchmark(
    "correlation", "how alike the embeddings of a record's leads are", add_arguments, run
)
