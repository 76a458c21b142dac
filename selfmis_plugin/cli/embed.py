"""``selfmis embed``: embeddings of a store's records, for a classifier of your own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from selfmis_plugin.cli.sharing import add_parts, refuse_needless, workers
from selfmis_plugin.utils.arguments import HUB_MODEL_HELP, add_checkpoint, whole
from selfmis_plugin.utils.files import require_file
from selfmis_plugin.utils.hub import on_this_machine

SINGLE, TOWERS = "single", ("single", "multi")


def main(argv: Sequence[str]) -> int:
    """Embed and write; return the exit status."""
    reads = parser()
    options = reads.parse_args(argv)
    if options.view is not None and options.tower is not None:
        reads.error("--view takes the place of --tower: give one of them")
    in_parts = not options.out.suffix
    if not in_parts and options.out.suffix not in (".parquet", ".npy"):
        reads.error(f"--out {options.out}: give a name that ends in .parquet or .npy, or a folder")
    refuse_needless(reads, options, in_parts, "--out FOLDER")
    from selfmis_plugin.evaluation.embeddings import embed_in_parts, embed_split

    try:
        name = options.view or options.tower or SINGLE
        views = None if options.view is None else (options.view,)
        checkpoint = on_this_machine(options.checkpoint)
        if in_parts:
            written = embed_in_parts(
                checkpoint,
                options.data,
                options.out,
                options.split,
                name,
                views is None,
                options.batch_size,
                workers(options),
                options.part or (1, 1),
                options.restart,
            )
            print(written)
            return 0
        require_file(options.out)
        embeddings = embed_split(
            checkpoint, options.data, options.split, (name,), options.batch_size, views
        )[name]
        embeddings.write(options.out)
    except (OSError, ValueError) as error:
        print(f"selfmis embed: {error}", file=sys.stderr)
        return 1
    records, size = embeddings.values.shape
    print(f"{records:,} embeddings of {size} values in {options.out}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis embed",
        description="Write the embeddings of a split's records as Parquet (record_id, patient_id, "
        "embedding) or .npy (with the names in FILE.records.tsv), or as a folder of Parquet files: "
        "then the same command goes on after a kill, and processes share the work.",
    )
    add_checkpoint(parser, HUB_MODEL_HELP)
    parser.add_argument("--data", type=Path, required=True, help="folder of a store or manifests")
    parser.add_argument("--split", default="test", help="which manifest (default: test)")
    parser.add_argument(
        "--tower",
        choices=TOWERS,
        help="of a pre-training checkpoint: the single-lead or the multi-lead encoder "
        "(default: single); a classifier has one encoder",
    )
    parser.add_argument(
        "--view",
        metavar="NAME",
        help="which embedding of a method that has several of a record, such as a lead's name; in "
        "place of --tower",
    )
    parser.add_argument("--batch-size", type=whole(1), default=128, metavar="N")
    parser.add_argument(
        "--out",
        "--dest",
        type=Path,
        required=True,
        metavar="FILE",
        help="FILE.parquet, FILE.npy, or a folder, named without an ending",
    )
    add_parts(parser)
    return parser
