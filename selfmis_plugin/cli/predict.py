"""``selfmis predict``: what a classifier says of single recordings."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from selfmis_plugin.cli.sharing import add_parts, refuse_needless, workers
from selfmis_plugin.cli.strip_models import add_strip_model, channel_names, named_model, strip_model
from selfmis_plugin.data.person import SEXES, Person, age_of
from selfmis_plugin.preparation.recordings.units import told_microvolts
from selfmis_plugin.utils.arguments import add_json, picture, positive
from selfmis_plugin.utils.files import printing_beside, whole_file, write_json
from selfmis_plugin.utils.paths import escaped

if TYPE_CHECKING:
    from selfmis_plugin.predict.prediction import Prediction
    from selfmis_plugin.predict.strip_model import StripModel
    from selfmis_plugin.predict.strips import Strip

#: What stands for the standard input, and what its recording is called.
_STANDARD_INPUT, _TYPED_IN = "-", "standard input"


def main(argv: Sequence[str]) -> int:
    """Predict and print; return the exit status."""
    reads = parser()
    options = reads.parse_args(argv)
    if options.dest and (options.json or options.png):
        reads.error("--json and --png are for a few recordings: give them or --dest")
    if options.dest and options.all_labels:
        reads.error("--all-labels is of what is printed, and --dest DIR has all labels anyway")
    if options.files.count(Path(_STANDARD_INPUT)) > 1:
        reads.error("- is the standard input, which can be read once")
    refuse_needless(reads, options, bool(options.dest), "--dest DIR")
    if (options.age is None) != (options.sex is None):
        reads.error("--age and --sex go together: a model uses both or none")
    if options.dest and options.age is not None:
        reads.error("--age and --sex are of one person, and --dest is for recordings of many")
    try:
        with printing_beside(options.json):
            return _predict_in_parts(options) if options.dest else _predict(options)
    except (OSError, ValueError) as error:
        print(f"selfmis predict: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="selfmis predict",
        description="Probabilities of infarction types for recordings: WFDB, EDF, CSV, ECGs "
        "exported from an Apple Watch, hospitals' and devices' formats (aECG, SCP, DICOM and "
        "others), other text files of one channel, .mat and .npy. Each is cut into windows of 10 "
        "s; a window that is flat, clipped or too noisy is not scored. For research, not for "
        "diagnosis.",
    )
    add_strip_model(parser)
    parser.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="recordings, folders of them, or - for the standard input",
    )
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
        help="unit of the values: uV, mV, V, or the microvolts in one step; default: the file's; "
        "of a file that says another one itself, this is noted",
    )
    parser.add_argument(
        "--rate",
        "--sample-rate",
        type=positive,
        metavar="HZ",
        help="samples a second; default: the file's; of a file that says another one itself, this "
        "is noted",
    )
    parser.add_argument("--all-labels", action="store_true", help="not the infarction types alone")
    parser.add_argument(
        "--age",
        type=_age,
        metavar="YEARS",
        help="with --sex: of the person that all recordings are of; a model that was exported with "
        "them uses both (its card says what they add)",
    )
    parser.add_argument("--sex", choices=SEXES, help="with --age")
    add_json(parser)
    parser.add_argument(
        "--png",
        type=picture,
        metavar="FILE",
        help="also draw the windows on millimetre paper; of several recordings FILE-1, FILE-2, ...",
    )
    parser.add_argument(
        "--dest",
        "--out",
        type=Path,
        metavar="DIR",
        help="for many recordings: write a folder of Parquet files, a row a window, and print "
        "nothing of each; the same command goes on after a kill",
    )
    add_parts(parser)
    return parser


def _age(text: str) -> float:
    years = age_of(text)
    if years is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age: years, 0 to 130")
    return years


def _predict(options: argparse.Namespace) -> int:
    from selfmis_plugin.predict.asking import refuse_person

    path = named_model(options)
    model = strip_model(path, options)
    person = Person(options.sex, options.age)
    refuse_person(model, str(options.model or path.name), person)
    strips, problems = _read(model, options)
    predictions = model.score(strips, person=person)
    if options.json:
        from selfmis_plugin.predict.asking import answer

        name, precision = str(options.model or path.name), options.precision
        write_json(options.json, answer(model, name, precision, predictions, problems))
    if options.png:
        _draw(options.png, model, predictions)
    if predictions:
        from selfmis_plugin.predict.strips import UNLIKE
        from selfmis_plugin.predict.words import model_lines, recording_lines

        for prediction in predictions:
            print("\n".join([*recording_lines(prediction, options.all_labels), ""]))
        print("\n".join(model_lines(model, any(said.scored.any() for said in predictions))))
        windows = [window for said in predictions for window in said.strip.windows]
        if any(window.problem.startswith(UNLIKE) for window in windows):
            print(
                f"Windows whose beats are alike to less than {options.quality:g} are scored with a "
                "lower --quality."
            )
    for problem in problems:
        print(f"selfmis predict: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _predict_in_parts(options: argparse.Namespace) -> int:
    from selfmis_plugin.predict.asking import Asked
    from selfmis_plugin.predict.counted import counted
    from selfmis_plugin.predict.in_parts import predict_in_parts

    asked = Asked(channel_names(options.lead), options.rate, options.unit, options.quality)
    with _files(options.files) as files:
        # A broken file among many is a row that says so; what was typed has to be there.
        if problems := [problem for name, path in files if (problem := _absent(name, path))]:
            for problem in problems:
                print(f"selfmis predict: {problem}", file=sys.stderr)
            return 1
        written = predict_in_parts(
            named_model(options),
            files,
            options.dest,
            asked,
            workers(options),
            options.precision,
            options.labels,
            options.part or (1, 1),
            options.restart,
        )
    print(written)
    print(counted(written.folder))
    return 0


def _read(model: StripModel, options: argparse.Namespace) -> tuple[list[Strip], list[str]]:
    """Strips of the files that can be read, and why the others cannot."""
    from selfmis_plugin.predict.asking import Asked, read_strip

    asked = Asked(channel_names(options.lead), options.rate, options.unit, options.quality)
    strips, problems = [], []
    with _files(options.files) as files:
        for name, path in files:
            if problem := _absent(name, path):
                problems.append(problem)
                continue
            try:
                strips.append(read_strip(model, path, name, asked))
            except (OSError, ValueError) as error:
                problems.append(escaped(str(error)))
    return strips, problems


@contextlib.contextmanager
def _files(given: Sequence[Path]) -> Iterator[list[tuple[str, Path]]]:
    """The recordings that are named, in named folders, or typed in, and what to call them; an
    empty folder stands for itself."""
    from selfmis_plugin.preparation.recordings.sources import recording_paths
    from selfmis_plugin.preparation.wfdb.reader import header_path

    files: list[tuple[str, Path]] = []
    with contextlib.ExitStack() as stack:
        for path in given:
            if str(path) == _STANDARD_INPUT:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                typed = folder / "standard-input.csv"
                typed.write_bytes(sys.stdin.buffer.read())
                files.append((_TYPED_IN, typed))
            elif path.is_dir() and not header_path(path).is_file():
                found = sorted(recording_paths(path))
                files += [(name, path / name) for name in found] or [(str(path), path)]
            else:
                files.append((path.name, path))
        yield _told_apart(files)


def _told_apart(files: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Call recordings of one name, such as those of two folders, by their paths as typed; what is
    not UTF-8 in a name is escaped, as it is everywhere."""
    places: dict[str, set[Path]] = {}
    for name, path in files:
        places.setdefault(name, set()).add(path)
    return [(escaped(name if len(places[name]) == 1 else str(path)), path) for name, path in files]


def _absent(name: str, path: Path) -> str | None:
    """Say what is wrong with a path that was typed and leads to no recording."""
    from selfmis_plugin.preparation.wfdb.reader import header_path

    if path.is_dir() and name == escaped(str(path)):
        return f"{path}: no recording of a known format in it"
    if not path.exists() and not header_path(path).exists():
        return f"{path}: no such file"
    return None


def _draw(path: Path, model: StripModel, predictions: Sequence[Prediction]) -> None:
    # Matplotlib takes a second to import, which most calls need not wait for.
    from selfmis_plugin.data.provenance import headline
    from selfmis_plugin.predict.picture import draw_prediction

    for number, prediction in enumerate(predictions, start=1):
        several = len(predictions) > 1
        file = path.with_stem(f"{path.stem}-{number}") if several else path
        with whole_file(file) as temporary:
            figure = draw_prediction(
                prediction,
                model.preprocessing.leads,
                model.input_rate,
                headline(model.provenance, short=True),
            )
            figure.savefig(temporary)
