"""From a run's checkpoint to a model with thresholds, figures and its provenance."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from selfmis_plugin._version import __version__
from selfmis_plugin.checkpoints.loading import read_model
from selfmis_plugin.checkpoints.model_folder import (
    SavedModel,
    portable_classifier,
)
from selfmis_plugin.data.exported import WEIGHTS
from selfmis_plugin.data.labels import INFARCTION_TYPES
from selfmis_plugin.data.person import GROUPINGS, Person
from selfmis_plugin.data.splits import Split, open_split, open_splits
from selfmis_plugin.data.store import Store
from selfmis_plugin.data.trained_people import people_of, seen_in_training
from selfmis_plugin.evaluation.any_infarction import and_any, is_derived
from selfmis_plugin.evaluation.calibrating import fitted_to, measured
from selfmis_plugin.evaluation.evaluate import predict_split
from selfmis_plugin.evaluation.out_of_fold import OutOfFold, read_out_of_fold
from selfmis_plugin.metrics.any_infarction import ANY
from selfmis_plugin.metrics.defaults import DRAWS, SPECIFICITY
from selfmis_plugin.metrics.operating_points import (
    OperatingPoint,
    at_operating_points,
    choose_operating_points,
)
from selfmis_plugin.metrics.predictions import Predictions, PredictionsError
from selfmis_plugin.metrics.recalibration import fit_person_lines
from selfmis_plugin.metrics.statistics import judge
from selfmis_plugin.utils.digests import file_digest

logger = logging.getLogger(__name__)

VALID, TEST = "valid", "test"
#: What thresholds and calibration come from in place of validation.
OUT_OF_FOLD = "predictions out of fold"


def prepare_export(
    checkpoint: Path,
    data: Path | None = None,
    specificity: float = SPECIFICITY,
    draws: int = DRAWS,
    labels: Sequence[str] | None = None,
    cross_validated: Sequence[Path] = (),
) -> SavedModel:
    """Read a checkpoint and, with *data*, choose its thresholds and measure its figures.

    Parameters
    ----------
    checkpoint
        A classifier's, a folder of an earlier export, or an ECGFounder file.
    data
        Folder of a store or of manifests: thresholds and calibration come from ``valid``, also
        those of any infarction where the classifier knows two types or more, and figures from
        ``test``. What an earlier export knew of age and sex is left out.
    specificity
        What the thresholds keep.
    draws
        Bootstrap draws of the intervals.
    labels
        Of a fine-tuned ECGFounder file: see :func:`selfmis_plugin.load_trained`.
    cross_validated
        Predictions out of fold of the checkpoint's recipe on the records of *data*, a file a fold
        and seed: thresholds, calibration and figures come from them, and not from splits of which
        the checkpoint may have been trained on. Figures are then those of the recipe.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be read, is no classifier's, or does not fit the data.
    StoreError
        If the data cannot be read.
    PredictionsError
        If predictions out of fold are none, or not of records of the data.
    """
    model = read_model(checkpoint, labels)
    portable_classifier(model)
    known, unlearned = model.classifier.labels, model.facts.unlearned
    provenance: dict[str, Any] = {
        "plugin_version": __version__,
        "checkpoint": checkpoint.resolve().name,
        "checkpoint_sha256": file_digest(
            checkpoint / WEIGHTS if checkpoint.is_dir() else checkpoint
        ),
    }
    if data is None:
        # What an earlier export has chosen and measured holds for the same weights, and what it
        # says of an ONNX file does not: that stays where it is.
        kept = {name: value for name, value in model.provenance.items() if name != "onnx"}
        return replace(model, provenance={**kept, **provenance})
    if cross_validated:
        files = read_out_of_fold(cross_validated, model.classifier.labels)
        return _by_recipe(model, data, files, specificity, draws, provenance)
    if model.with_person:
        logger.warning(
            "%s: what it knows of age and sex is of other records and thresholds, and is left out; "
            "--cross-validated learns it anew",
            checkpoint,
        )
    valid, test = (open_split(data, split, is_choice=False) for split in (VALID, TEST))
    chosen_on = _with_any(predict_split(checkpoint, data, VALID, labels=labels), valid, known)
    points = choose_operating_points(chosen_on, specificity)
    points = {label: point for label, point in points.items() if label not in unlearned}
    fitted = fitted_to(chosen_on, unlearned)
    predictions = predict_split(checkpoint, data, TEST, labels=labels)
    with_any = _with_any(predictions, test, known)
    figures = _figures(predictions, points, draws)
    if ANY in with_any.labels and ANY not in predictions.labels:
        # A label of its own, in no mean over labels.
        figures["labels"] |= _figures(with_any.select([ANY]), points, draws)["labels"]
    provenance["valid"] = {
        **_about(data, valid.store),
        "records": len(chosen_on),
        "people": people_of(valid.store, valid.rows),
        "seen_in_training": _seen(model, valid),
    }
    provenance["test"] = {
        **_about(data, test.store),
        **figures,
        "calibrated": measured(fitted, with_any),
        "seen_in_training": _seen(model, test),
    }
    lost = [name for name in {**model.points, **model.calibration} if name not in chosen_on.labels]
    if lost:
        provenance["left_out"] = lost
        logger.warning(
            "%s: thresholds and calibration that it brings of %d labels are left out, since %s "
            "does not judge them: %s",
            checkpoint,
            len(lost),
            data,
            ", ".join(lost),
        )
    rate = float(test.store.info.sample_rate)
    return replace(
        model,
        input_rate=rate,
        specificity=specificity,
        points=points,
        provenance=provenance,
        calibration=fitted.labels,
        # Lines of an earlier export are of other records, and of its thresholds.
        with_person={},
    )


def _with_any(predictions: Predictions, part: Split, known: Sequence[str]) -> Predictions:
    """Return predictions with any infarction after the others, where it is derived of all types
    that the model knows: so it says it of a recording."""
    types = {name for name in known if name in INFARCTION_TYPES}
    if not types <= set(predictions.labels):
        return predictions
    return and_any(predictions, part.store, part.rows)


def _by_recipe(
    model: SavedModel,
    data: Path,
    said: OutOfFold,
    specificity: float,
    draws: int,
    provenance: Mapping[str, Any],
) -> SavedModel:
    """Return the model with what its recipe's predictions out of fold tell."""
    parts = list(open_splits(data).values())
    store = parts[0].store
    persons = _persons(store, said.pooled())
    derived = is_derived(model.classifier.labels)
    said = said.with_any(store)
    pooled, unlearned = said.pooled(), model.facts.unlearned
    listed = {store.records["record_id"].to_numpy()[row] for part in parts for row in part.rows}
    if missing := len(listed - set(pooled.record_ids)):
        raise PredictionsError(
            f"{data}: {missing:,} of its {len(listed):,} records have no prediction out of fold: "
            "give the files of every fold, and the store that was cross-validated"
        )
    years, signs = _ages_and_sexes(persons)
    with_person = fit_person_lines(pooled, years, signs, specificity, unlearned)
    points = choose_operating_points(pooled, specificity)
    points = {label: point for label, point in points.items() if label not in unlearned}
    fitted = fitted_to(pooled, unlearned)
    ranked = said.ranked()
    figures = _figures(ranked.select(model.classifier.labels), points, draws, pooled)
    if derived:
        # A label of its own, in no mean over labels.
        figures["labels"] |= _figures(ranked.select([ANY]), points, draws, pooled)["labels"]
    judged = {
        **_about(data, store),
        **figures,
        "calibrated": measured(fitted, pooled, said.calibrated(unlearned), OUT_OF_FOLD),
        "protocol": {"folds": len(said.folds), "seeds": said.seeds},
        "groups": _groups(ranked, persons, draws) if derived else {},
    }
    if with_person:
        ages = dict(zip(pooled.record_ids, years.tolist(), strict=True))
        sexes = dict(zip(pooled.record_ids, signs.tolist(), strict=True))
        added = _by_persons(said, ages, sexes, unlearned, draws)
        # Where they do not help records of other folds, they would make it worse elsewhere too.
        helped = {
            label: found
            for label, found in added.items()
            if found["auc"]["value"] > found["auc_without"]["value"]
        }
        with_person = {label: with_person[label] for label in helped}
        if helped:
            judged["with_age_and_sex"] = helped
    return replace(
        model,
        input_rate=float(store.info.sample_rate),
        specificity=specificity,
        points=points,
        provenance={
            **provenance,
            "valid": {
                **_about(data, store),
                "records": len(pooled),
                "people": people_of(store, np.concatenate([part.rows for part in parts])),
            },
            "test": judged,
        },
        calibration=fitted.labels,
        with_person=with_person,
    )


def _ages_and_sexes(
    persons: pd.DataFrame,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return years, and 1 for men and -1 for women, (records,); NaN where they are not known."""
    people = [
        Person(sex if isinstance(sex, str) else None)
        for sex in persons["sex"].astype(object).tolist()
    ]
    years = persons["age"].to_numpy(dtype=float, na_value=np.nan)
    return years, np.array([person.sign for person in people], dtype=np.float64)


def _by_persons(
    said: OutOfFold,
    ages: Mapping[str, float],
    sexes: Mapping[str, float],
    unlearned: Sequence[str],
    draws: int,
) -> dict[str, Any]:
    """Return AUCs with age and sex, learnt on the other folds, and without on the same records."""
    with_both = said.with_persons(ages, sexes, unlearned)
    if with_both is None:
        return {}
    known = set(with_both.record_ids)
    pooled = said.ranked()
    alone = pooled.rows(np.array([name in known for name in pooled.record_ids]))
    return {
        label: {
            "records": len(with_both),
            "positives": int(with_both.select([label]).targets.sum()),
            "auc": judge(with_both.select([label]), draws).labels[label].auc.to_dict(),
            "auc_without": judge(alone.select([label]), draws).labels[label].auc.to_dict(),
        }
        for label in with_both.labels
    }


def _persons(store: Store, predictions: Predictions) -> pd.DataFrame:
    """Return the store's records that were judged, in the order of the predictions."""
    records = store.records.set_index("record_id", drop=False)
    unknown = [name for name in predictions.record_ids if name not in records.index]
    if unknown:
        raise PredictionsError(
            f"{store.path} has no record {', '.join(unknown[:3])}, and predictions out of fold are "
            f"of {len(unknown):,} such: give the store that was cross-validated with --data"
        )
    return records.loc[list(predictions.record_ids)]


def _groups(predictions: Predictions, persons: pd.DataFrame, draws: int) -> dict[str, Any]:
    """Return the AUC of any infarction by sex and by age, of groups that have both kinds."""
    found: dict[str, Any] = {}
    any_one = predictions.select([ANY])
    for name, (groups, group_of) in GROUPINGS.items():
        own = np.array([group_of(value) for value in persons[name]], dtype=object)
        for group in groups:
            chosen = any_one.rows(np.asarray(own == group, dtype=bool))
            if chosen.targets.any() and not chosen.targets.all():
                judged = judge(chosen, draws)
                found.setdefault(name, {})[group] = {
                    "records": len(chosen),
                    "positives": int(chosen.targets.sum()),
                    "auc": judged.labels[ANY].auc.to_dict(),
                }
    return found


def _seen(model: SavedModel, part: Split) -> dict[str, Any] | None:
    """Whom of a split's people the model was trained on, in JSON."""
    found = seen_in_training(model.facts.provenance, part)
    return None if found is None else found.to_dict()


def _about(data: Path, store: Store) -> dict[str, Any]:
    info = store.info
    return {
        "data": data.resolve().name,
        "database": info.database,
        "origins": [origin.to_dict() for origin in info.origins],
    }


def _figures(
    predictions: Predictions,
    points: dict[str, OperatingPoint],
    draws: int,
    at_points: Predictions | None = None,
) -> dict[str, Any]:
    """Return figures of *predictions*, and of thresholds on *at_points*, by default the same."""
    report = judge(predictions, draws)
    reached = at_operating_points(at_points or predictions, points)
    return {
        "records": report.units,
        "patients": report.patients,
        "draws": report.draws,
        "macro_auc": report.macro_auc.to_dict(),
        "mi_auc": report.mi_auc.to_dict(),
        "labels": {
            label: {
                "positives": figures.positives,
                "auc": figures.auc.to_dict(),
                "sensitivity": reached[label].sensitivity if label in reached else None,
                "specificity": reached[label].specificity if label in reached else None,
            }
            for label, figures in report.labels.items()
        },
    }
