"""The README.md of a model folder, filled from the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from selfmis_plugin.checkpoints.model_folder import SavedModel, portable_classifier
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.provenance import headline, provenance_lines
from selfmis_plugin.data.trained_people import SeenInTraining
from selfmis_plugin.evaluation.calibrating import calibration_text
from selfmis_plugin.export.front_matter import front_matter
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.operating_points import threshold_of
from selfmis_plugin.nn.encoder import first_step_of
from selfmis_plugin.predict.model import DISCLAIMER
from selfmis_plugin.utils.markdown import code, table, text


def model_card(model: SavedModel, name: str = "model", licence: str = "unknown") -> str:
    """Return the model card, Markdown with the Hugging Face hub's front matter.

    Parameters
    ----------
    model
        What it is about.
    name
        What the model is called there.
    licence
        Of the weights, by the hub's names; ``"unknown"`` where nobody has stated it.
    """
    classifier, preprocessing = model.classifier, model.classifier.preprocessing
    leads = ", ".join(map(text, preprocessing.leads))
    lead = "lead" if len(preprocessing.leads) == 1 else "leads"
    test = model.provenance.get("test")
    parts = [
        front_matter(model, name, licence),
        f"# {len(classifier.labels)} ECG statements from {lead} {leads}",
        f"**{DISCLAIMER} {text(headline(model.facts.provenance))}** An ECG classifier (an encoder "
        "and a linear head) trained with the SelfMIS plugin, version "
        f"{model.provenance['plugin_version']}.",
        "## Use\n\n```python\nfrom selfmis_plugin import load_model\n\n"
        'model = load_model("this/folder")\n'
        'print(model.predict(millivolts, rate=512, unit="mV", '
        f"lead={_lead_argument(preprocessing.leads)}).results)\n```\n\n"
        "or `selfmis predict --model this/folder FILE...`.",
        "## Input\n\n"
        f"- {lead.capitalize()} {leads}, windows of "
        f"{preprocessing.seconds:g} s, microvolts at {model.input_rate:g} Hz; the encoder reads "
        f"{preprocessing.sample_rate:g} Hz.\n"
        f"- Filter before the network: {text(preprocessing.filter)}. The network's own first "
        f"step is {_first_step(model)}.",
        "## Data and protocol\n\n"
        + "".join(
            f"- Trained: {text(step)}.\n" for step in provenance_lines(model.facts.provenance)
        )
        + _not_learned(model)
        + f"- Licence of the weights: {text(licence)}"
        + (", since nobody has stated it.\n" if licence == "unknown" else ".\n")
        + f"- Weights: {code(model.provenance['checkpoint'])}, SHA-256 "
        f"{code(model.provenance['checkpoint_sha256'])}.\n" + _data(model, test),
        "## Figures\n\n"
        + (
            _figures(model, test)
            if test
            else "None were measured: the model was exported without data."
        ),
        *([_onnx(model.provenance["onnx"])] if "onnx" in model.provenance else []),
        *([_groups(test["groups"])] if test and test.get("groups") else []),
        *([_with_persons(test["with_age_and_sex"])] if test and "with_age_and_sex" in test else []),
        "## Limits\n\n"
        "- The figures hold for the population, the recorders and the labels of the data named "
        "above; nobody has looked at others.\n"
        + _calibrated(model)
        + _left_out(model)
        + "- A threshold was chosen for one window a record; the mean over several windows has a "
        "specificity of its own.\n"
        f"- {DISCLAIMER}",
    ]
    return "\n\n".join(parts) + "\n"


def _first_step(model: SavedModel) -> str:
    network = portable_classifier(model).network(model.input_rate)
    return first_step_of(network.input, network.encoder)


def _not_learned(model: SavedModel) -> str:
    names = ", ".join(map(text, model.facts.unlearned))
    return names and f"- No positive among the training records, so no probability: {names}.\n"


def _calibrated(model: SavedModel) -> str:
    test = model.provenance.get("test")
    if not model.calibration or test is None:
        return (
            "- Probabilities are not calibrated: a probability is the network's output and not "
            "the chance that somebody has an infarction.\n"
        )
    said = (text(line) for line in calibration_text(test["calibrated"]))
    lines = [f"- {line[0].upper()}{line[1:]}.\n" for line in said]
    return "".join(lines) + (
        "- Probabilities come true where infarctions are as common as in the data named above, "
        "and not elsewhere.\n"
    )


def _left_out(model: SavedModel) -> str:
    names = ", ".join(map(text, model.provenance.get("left_out", ())))
    return names and (
        "- Thresholds and calibration of an earlier export are left out of labels that these data "
        f"do not judge: {names}.\n"
    )


def _lead_argument(leads: tuple[str, ...]) -> str:
    return json.dumps(leads[0], ensure_ascii=False) if len(leads) == 1 else repr(leads)


def _data(model: SavedModel, test: Mapping[str, Any] | None) -> str:
    if test is None:
        return "- No data were given at export: no thresholds and no figures."
    valid = model.provenance["valid"]
    if protocol := test.get("protocol"):
        return (
            "- Thresholds, calibration and figures are **of the recipe, cross-validated**, not of "
            f"these weights: {test['records']:,} records of {test['patients']:,} patients of "
            f"{text(test['data'])} ({text(test['database'])}), dealt into {protocol['folds']} "
            "folds, each judged by models of the same recipe that were trained without it "
            f"({_seeds(protocol['seeds'])}). AUC compares records by their rank in their fold. "
            "Thresholds keep a specificity of "
            f"{model.specificity:g} or more on these predictions. Intervals: 95 %, by patient, as "
            "wide as few positives demand."
        )
    return (
        f"- Thresholds: {valid['records']:,} records of the validation split of "
        f"{text(valid['data'])} ({text(valid['database'])}), at a specificity of "
        f"{model.specificity:g} or more.\n"
        f"- Figures: {test['records']:,} records of {test['patients']:,} patients in the test "
        "split of the same data. Intervals: 95 %, by patient, as wide as few positives demand."
        + "".join(
            f"\n- **{use}**: {text(str(SeenInTraining.from_dict(said)))}."
            for use, part in (("Thresholds and calibration", valid), ("Figures", test))
            if (said := part.get("seen_in_training"))
        )
    )


def _figures(model: SavedModel, test: Mapping[str, Any]) -> str:
    means = (
        f"Macro AUC over {test['macro_auc']['labels']} labels: {_interval(test['macro_auc'])}; "
        f"mean over {test['mi_auc']['labels']} infarction types: {_interval(test['mi_auc'])}."
    )
    rows = []
    names = [label for label in (ANY, *INFARCTION_TYPES) if label in test["labels"]]
    names += [label for label in test["labels"] if label not in names]
    for name in names:
        label = test["labels"][name]
        threshold = threshold_of(name, model.points, model.calibration)
        rows.append(
            [
                text(name),
                str(label["positives"]),
                _interval(label["auc"]),
                _number(threshold),
                _number(label["sensitivity"]),
                _number(label["specificity"]),
            ]
        )
    header = ["label", "positives", "AUC", "threshold", "sensitivity", "specificity"]
    note = "Sensitivity and specificity are those of the threshold."
    return "\n\n".join([means, table(header, rows), note])


def _onnx(files: Mapping[str, Any]) -> str:
    header = [
        "file", "MB", "ms a window, one thread", "largest difference of a logit", "macro AUC",
    ]  # fmt: skip
    rows = []
    for name, facts in files.items():
        difference = facts.get("largest_logit_difference")
        said = "-" if difference is None else f"{difference:.1e} ({text(facts['compared_on'])})"
        rows.append(
            [
                text(name),
                f"{facts['bytes'] / 1e6:.1f}",
                f"{facts['latency_ms_one_thread']:.1f}",
                said,
                _number(facts.get("macro_auc")),
            ]
        )
    return "## ONNX\n\n" + table(header, rows)


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"mean logits of {count} seeds"


def _groups(groups: Mapping[str, Any]) -> str:
    rows = [
        [name, group, f"{one['records']:,}", str(one["positives"]), _interval(one["auc"])]
        for name, found in groups.items()
        for group, one in found.items()
    ]
    header = ["by", "group", "records", "with an infarction", "AUC of any infarction"]
    return "## Sex and age\n\n" + table(header, rows)


def _with_persons(labels: Mapping[str, Any]) -> str:
    names = [label for label in (ANY, *INFARCTION_TYPES) if label in labels]
    names += [label for label in labels if label not in names]
    rows = [
        [
            text(name),
            str(labels[name]["positives"]),
            _interval(labels[name]["auc_without"]),
            _interval(labels[name]["auc"]),
        ]
        for name in names
    ]
    header = ["label", "positives", "AUC of the ECG alone", "AUC with age and sex"]
    return (
        "## With age and sex\n\n"
        "Where both are given (`selfmis predict --age 63 --sex female`, or from Python "
        '`person=selfmis_plugin.Person("female", 63)`), these labels\' '
        "probabilities use them: a logistic regression on the network's logit, age and sex. It was "
        "learnt on the other folds for these figures, on all records for this model; labels that "
        "age and sex did not help there are left as they are. What age and "
        "sex tell by themselves, they tell of this population.\n\n" + table(header, rows)
    )


def _interval(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return "-"
    if row["low"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} ({row['low']:.3f}, {row['high']:.3f})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
