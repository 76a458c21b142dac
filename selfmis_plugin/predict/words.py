"""Predictions in lines of text."""

from __future__ import annotations

from selfmis_plugin.data.labels import ANY_INFARCTION, INFARCTION_NAMES, INFARCTION_TYPES
from selfmis_plugin.predict.prediction import DISCLAIMER, Prediction
from selfmis_plugin.predict.strip_model import StripModel

__all__ = ["model_lines", "recording_lines", "threshold_line"]

#: Refused windows that are named one by one.
_NAMED = 5


def recording_lines(prediction: Prediction, all_labels: bool = False) -> list[str]:
    """Return what is said of one recording: windows, notes, and a table of labels.

    Parameters
    ----------
    prediction
        What is said.
    all_labels
        Whether the table has others than the infarction types; without any of these it has all.
    """
    windows, scored = prediction.strip.windows, int(prediction.scored.sum())
    lines = [f"{prediction.strip.name}: {scored} of {len(windows)} windows scored"]
    lines += [f"  {note}" for note in prediction.notes]
    refused = [window for window in windows if window.problem]
    lines += [f"  from {w.start:g} s not scored: {w.problem}" for w in refused[:_NAMED]]
    if len(refused) > _NAMED:
        lines.append(f"  and {len(refused) - _NAMED} more windows (the JSON has all)")
    if prediction.by_person:
        person = prediction.person
        lines.append(
            f"  of a {person.sex} person of {person.age:g} years, by which "
            f"{', '.join(prediction.by_person)} are judged, and no other"
        )
    return lines + (_table(prediction, all_labels) if scored else [])


def model_lines(model: StripModel, scored: bool = True) -> list[str]:
    """Return what to know of a model's probabilities and thresholds, and that they are for
    research.

    Parameters
    ----------
    model
        The model.
    scored
        Whether any window was; of no figure there is no threshold to explain.
    """
    star = "* " if model.points else ""
    legend = [f"{star}{threshold_line(model)}"] if scored else []
    return [*legend, *model.remarks(), DISCLAIMER]


def threshold_line(model: StripModel) -> str:
    """Return what a model's thresholds are."""
    if not model.points:
        return "No thresholds: the model has none (selfmis export --data STORE chooses them)."
    # A lone ONNX file of an older version does not say which.
    kept = (
        "its specificity"
        if model.specificity is None
        else f"a specificity of {model.specificity:g}"
    )
    return (
        f"above the threshold that kept {kept} on the records that it was chosen on, one window a "
        "record"
    )


def _table(prediction: Prediction, all_labels: bool) -> list[str]:
    results = prediction.results
    wanted = [label for label in results if label in (ANY_INFARCTION, *INFARCTION_TYPES)]
    wanted = list(results) if all_labels or not wanted else wanted
    width = max(9, *map(len, wanted))
    lines = [f"  {'label':{width}} {'probability':>11}  {'windows':15} {'threshold':>9}"]
    for label in wanted:
        result = results[label]
        threshold = "-" if result.threshold is None else f"{result.threshold:.3f}"
        line = (
            f"  {label:{width}} {result.probability:>10.3f}{'*' if result.above else ' '}  "
            f"{f'{result.low:.3f}-{result.high:.3f}':15} {threshold:>9}"
        )
        lines.append(f"{line}  {INFARCTION_NAMES.get(label, '')}".rstrip())
    return lines
