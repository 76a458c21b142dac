"""``selfmis benchmark correlation``: embeddings of a record's leads, before and after alignment."""

from __future__ import annotations

import argparse

from selfmis_plugin.cli.checkpoint_options import add_checkpoint_options, hand_over
from selfmis_plugin.profiling.benchmark import Benchmark


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    add_checkpoint_options(parser, "correlation", "folder of a store or manifests")


def run(options: argparse.Namespace) -> int:
    """Correlate, write and print; return the exit status."""
    from selfmis_plugin.benchmark.studies.correlation import correlation_study

    answer = correlation_study(options.checkpoint, options.data, options.split, options.against)
    return hand_over(answer, options.dest)


BENCHMARK = Benchmark(
    "correlation",
    "how alike the embeddings of a record's leads are, before and after alignment",
    add_arguments,
    run,
)
