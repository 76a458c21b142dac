"""``selfmis predict``: what a classifier says of single recordings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.checkpoints.facts import facts_values
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.provenance import headline
from selfmis_plugin.data.quality import PUBLISHED_THRESHOLD
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.predict.model import DISCLAIMER, PRECISIONS, Model, Prediction, load_model
from selfmis_plugin.predict.opening import open_strip_file
from selfmis_plugin.predict.strips import Strip
from selfmis_plugin.preparation.recordings.long_recording import ReadingOptions
from selfmis_plugin.preparation.recordings.units import told_microvolts
from selfmis_plugin.utils.arguments import LABELS_HELP, labels, picture, positive, probability
from selfmis_plugin.utils.files import whole_file, write_json

#: Refused windows that are named one by one.
_NAMED = 5


def main(argv: Sequence[str]) -> int:
    """Predict and print; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="selfmis predict",
        description="Probabilities of infarction types for recordings: WFDB, EDF, CSV, ECGs "
        "exported from an Apple Watch, and other text files of one channel. Each is cut into "
        "windows of 10 s; a window that is flat, clipped or too noisy is not scored. " + DISCLAIMER,
    )
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        help="a folder of selfmis export, or a run's checkpoint_best.pt or an ECGFounder file "
        "(then no thresholds)",
    )
    parser.add_argument("--labels", type=labels, metavar="NAMES", help=LABELS_HELP)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="recordings")
    parser.add_argument(
        "--lead",
        metavar="CHANNEL",
        help="the channel that is the model's lead (for a model of several leads: all, apart by "
        "commas); default: by its name",
    )
    parser.add_argument(
        "--unit",
        "--units",
        type=told_microvolts,
        help="unit of the values: uV, mV, V, or the microvolts in one step; default: the file's",
    )
    parser.add_argument(
        "--rate", type=positive, metavar="HZ", help="samples a second; default: the file's"
    )
    parser.add_argument(
        "--quality",
        type=probability,
        default=PUBLISHED_THRESHOLD,
        metavar="FIGURE",
        help="lowest mean correlation of the beats with the average beat, 0 to 1, of a window that "
        "is scored (default: %(default)s)",
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--all-labels", action="store_true", help="not the infarction types alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    parser.add_argument(
        "--png",
        type=picture,
        metavar="FILE",
        help="also draw the windows on millimetre paper; of several recordings FILE-1, FILE-2, ...",
    )
    options = parser.parse_args(argv)
    try:
        model = load_model(options.model, options.precision, options.labels)
        strips, problems = _read(model, options)
        predictions = model.score(strips)
        if options.json:
            write_json(options.json, _content(model, options, predictions, problems))
        if options.png:
            _draw(options.png, model, predictions)
    except (CheckpointError, OSError, ValueError) as error:
        print(f"selfmis predict: {error}", file=sys.stderr)
        return 1
    if predictions:
        print("\n".join(_lines(model, predictions, options.all_labels)))
    for problem in problems:
        print(f"selfmis predict: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _read(model: Model, options: argparse.Namespace) -> tuple[list[Strip], list[str]]:
    """Strips of the files that can be read, and why the others cannot."""
    reading = ReadingOptions(options.rate, options.unit)
    channels = options.lead.split(",") if options.lead else None
    strips, problems = [], []
    for path in options.files:
        try:
            recording = open_strip_file(path, reading)
            strips.append(model.cut(recording, channels, options.rate, options.quality))
        except (RecordError, OSError) as error:
            problems.append(str(error))
    return strips, problems


def _content(
    model: Model,
    options: argparse.Namespace,
    predictions: Sequence[Prediction],
    problems: Sequence[str],
) -> dict[str, Any]:
    return {
        "note": DISCLAIMER,
        "model": str(options.model),
        "precision": options.precision,
        "trained_on": facts_values(model.saved.facts.provenance),
        "calibration": {label: line.to_dict() for label, line in model.saved.calibration.items()},
        "not_learned": list(model.unlearned),
        "specificity": model.saved.specificity,
        "files": [prediction.to_dict() for prediction in predictions],
        "not_read": list(problems),
    }


def _lines(model: Model, predictions: Sequence[Prediction], all_labels: bool) -> list[str]:
    lines = []
    for prediction in predictions:
        windows, scored = prediction.strip.windows, int(prediction.scored.sum())
        lines.append(f"{prediction.strip.name}: {scored} of {len(windows)} windows scored")
        lines += [f"  {note}" for note in prediction.strip.notes]
        refused = [window for window in windows if window.problem]
        lines += [f"  from {w.start:g} s not scored: {w.problem}" for w in refused[:_NAMED]]
        if len(refused) > _NAMED:
            lines.append(f"  and {len(refused) - _NAMED} more windows (--json has all)")
        lines += _table(prediction, all_labels) if scored else []
        lines.append("")
    if model.saved.points:
        lines.append(
            f"* above the threshold that kept a specificity of {model.saved.specificity:g} on the "
            "validation split, one window a record"
        )
    else:
        lines.append(
            "No thresholds: the model has none (selfmis export --data STORE chooses them)."
        )
    return [*lines, *model.remarks(), DISCLAIMER]


def _table(prediction: Prediction, all_labels: bool) -> list[str]:
    results = prediction.results
    wanted = [label for label in results if label in INFARCTION_TYPES]
    wanted = list(results) if all_labels or not wanted else wanted
    lines = [f"  {'label':9} {'probability':>11}  {'windows':15} {'threshold':>9}"]
    for label in wanted:
        result = results[label]
        threshold = "-" if result.threshold is None else f"{result.threshold:.3f}"
        lines.append(
            f"  {label:9} {result.probability:>10.3f}{'*' if result.above else ' '}  "
            f"{f'{result.low:.3f}-{result.high:.3f}':15} {threshold:>9}"
        )
    return lines


def _draw(path: Path, model: Model, predictions: Sequence[Prediction]) -> None:
    # Matplotlib takes a second to import, which most calls need not wait for.
    from selfmis_plugin.predict.picture import draw_prediction

    for number, prediction in enumerate(predictions, start=1):
        several = len(predictions) > 1
        file = path.with_stem(f"{path.stem}-{number}") if several else path
        with whole_file(file) as temporary:
            figure = draw_prediction(
                prediction,
                model.preprocessing.leads,
                model.saved.input_rate,
                headline(model.saved.facts.provenance, short=True),
            )
            figure.savefig(temporary)
