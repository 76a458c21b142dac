"""``selfmis export``: a trained classifier as a folder to keep, upload or put on a device."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfmis_plugin.metrics.defaults import DRAWS, SPECIFICITY
from selfmis_plugin.utils.arguments import (
    LABELS_HELP,
    MODEL_HELP,
    add_checkpoint,
    add_dest,
    labels,
    said,
    told,
)
from selfmis_plugin.utils.extras import how_to_install
from selfmis_plugin.utils.files import folder_beside
from selfmis_plugin.utils.hub import HubError, push, repository

if TYPE_CHECKING:
    from selfmis_plugin.checkpoints.model_folder import SavedModel

FORMATS = ("safetensors", "onnx")


def main(argv: Sequence[str]) -> int:
    """Export and print; return the exit status."""
    reads = parser()
    options = reads.parse_args(argv)
    if options.int8 and options.format != "onnx":
        reads.error("--int8 needs --format onnx")
    if options.cross_validated and options.data is None:
        reads.error("--cross-validated needs --data: the store whose records were judged")
    if options.int8 and options.data is None:
        reads.error("--int8 needs --data: 8 bits are calibrated on records")
    if options.specificity is not None and options.data is None:
        reads.error("--specificity needs --data: thresholds are chosen on records")
    try:
        model, onnx = _export(options)
    except ImportError as error:
        print(
            f"selfmis export: {error}; ONNX needs an extra, {how_to_install('export')}",
            file=sys.stderr,
        )
        return 1
    except (OSError, ValueError) as error:
        print(f"selfmis export: {error}", file=sys.stderr)
        return 1
    print("\n".join(_lines(options.dest, model, onnx)))
    if options.push is None:
        return 0
    try:
        print(f"uploaded: {push(options.dest, options.push)}")
    except HubError as error:
        print(f"selfmis export: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis export",
        description="Write a classifier as a folder: weights (safetensors), config.json with "
        "preprocessing and thresholds, and a model card; with --format onnx also model.onnx, "
        "which runs without PyTorch.",
    )
    add_checkpoint(parser, f"a classifier: {MODEL_HELP} with its head")
    parser.add_argument("--labels", type=labels, metavar="NAMES", help=LABELS_HELP)
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of a store or manifests: thresholds from its validation split, figures from "
        "its test split; without it there are none",
    )
    parser.add_argument(
        "--cross-validated",
        type=Path,
        nargs="+",
        default=(),
        metavar="PREDICTIONS",
        help="predictions out of fold of the model's recipe on the records of --data, a file a "
        "fold and seed, as benchmark mi --folds writes them: thresholds, calibration and figures "
        "come from them, of a model that was trained on all records",
    )
    add_dest(parser, "folder to make")
    parser.add_argument(
        "--push",
        type=told(repository),
        metavar="ORG/NAME",
        help="also upload the folder to this repository of the Hugging Face hub, which is made, "
        "private, where there is none",
    )
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0])
    parser.add_argument(
        "--int8",
        action="store_true",
        help="with --format onnx: also model.int8.onnx, calibrated on the validation split of "
        "--data, and what it costs in AUC on the test split",
    )
    parser.add_argument(
        "--specificity",
        type=_share,
        metavar="SHARE",
        help=f"what the thresholds keep (default: {SPECIFICITY})",
    )
    parser.add_argument(
        "--licence",
        "--license",
        type=said,
        metavar="ID",
        help="of the weights, as the hub names licences, such as cc-by-4.0; it depends on the "
        "records that they were trained on (default: of a folder, what its card says; of others "
        "unknown)",
    )
    return parser


def _export(options: argparse.Namespace) -> tuple[SavedModel, Mapping[str, Any]]:
    from selfmis_plugin.checkpoints.model_folder import refuse_existing, write_model
    from selfmis_plugin.export.kept_papers import licence_of, notices_of

    refuse_existing(options.dest)
    # Rights in the weights stay what they were, wherever the weights go.
    notices = notices_of(options.checkpoint)
    if options.licence is None:
        options.licence = licence_of(options.checkpoint) or "unknown"
    if options.format != "onnx":
        model = _prepared(options)
        write_model(model, options.dest, _card(model, options), notices=notices)
        return model, {}
    # Before the figures, which take longer: a package may be missing.
    from selfmis_plugin.export.onnx_files import make_onnx

    model = _prepared(options)
    with folder_beside(options.dest.absolute(), "onnx") as folder:
        made = make_onnx(model, folder, options.data, options.int8)
        model = replace(model, provenance={**model.provenance, "onnx": made.facts})
        write_model(model, options.dest, _card(model, options), made.paths, notices)
    return model, made.facts


def _card(model: SavedModel, options: argparse.Namespace) -> str:
    from selfmis_plugin.export.model_card import model_card

    return model_card(model, options.dest.absolute().name, options.licence)


def _prepared(options: argparse.Namespace) -> SavedModel:
    from selfmis_plugin.export.exporting import prepare_export

    return prepare_export(
        options.checkpoint,
        options.data,
        SPECIFICITY if options.specificity is None else options.specificity,
        DRAWS,
        options.labels,
        options.cross_validated,
    )


def _lines(dest: Path, model: SavedModel, onnx: Mapping[str, Any]) -> list[str]:
    from selfmis_plugin.data.provenance import headline
    from selfmis_plugin.data.trained_people import SeenInTraining
    from selfmis_plugin.evaluation.calibrating import calibration_text
    from selfmis_plugin.predict.prediction import DISCLAIMER

    lines = [f"{dest}: {len(model.classifier.labels)} labels"]
    if model.points:
        chosen_on = (
            "in predictions out of fold"
            if "protocol" in model.provenance.get("test", {})
            else "on the validation split"
        )
        lines.append(
            f"thresholds of {len(model.points)} labels at a specificity of {model.specificity:g} "
            f"{chosen_on}"
        )
    else:
        lines.append("no thresholds: give --data to choose them")
    lines.append(headline(model.facts.provenance))
    for split, use in (("valid", "thresholds and calibration"), ("test", "figures")):
        if said := model.provenance.get(split, {}).get("seen_in_training"):
            lines.append(f"{use}: {SeenInTraining.from_dict(said)}")
    if "test" in model.provenance:
        lines += calibration_text(model.provenance["test"]["calibrated"])
    elif not model.calibration:
        lines.append("probabilities are not calibrated: give --data to calibrate them")
    for name, facts in onnx.items():
        line = (
            f"{name}: {facts['bytes'] / 1e6:.1f} MB, {facts['latency_ms_one_thread']:.1f} ms a "
            "window on one thread"
        )
        if "largest_logit_difference" in facts:
            line += (
                f"; logits differ from PyTorch's by up to {facts['largest_logit_difference']:.1e} "
                f"(of up to {facts['largest_logit']:.3g}) on {facts['compared_on']}"
            )
        if facts.get("macro_auc") is not None:
            line += f"; macro AUC on the test split {facts['macro_auc']:.4f}"
        lines.append(line)
    return [*lines, DISCLAIMER]


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value
