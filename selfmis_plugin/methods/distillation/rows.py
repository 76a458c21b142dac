"""Taught by twelve leads: students of several beginnings, and their teachers."""

from __future__ import annotations

from collections.abc import Mapping

from selfmis_plugin.methods.method import (
    FINETUNE,
    LEAD_I,
    UNLABELLED,
    Classifier,
    Method,
    Mode,
    Stage,
)
from selfmis_plugin.methods.selfmis.rows import CROP_SECONDS, SELFMIS, SELFMIS_CROPS
from selfmis_plugin.methods.supervised.rows import ALL_LEADS, MULTI_LEAD, SINGLE_LEAD

__all__ = ["METHODS", "TEACHER_FOLDS"]

#: Inner folds of patients, and teachers.
TEACHER_FOLDS = 3

_RATES = {"full": (2.5e-5, 1e-4, 4e-4, 1.6e-3), "small": (6.25e-4, 2.5e-3, 0.01, 0.04)}
_FOLDS = range(1, TEACHER_FOLDS + 1)


def _teachers(method: str) -> tuple[Mode, ...]:
    return tuple(Mode(method, f"without_fold{fold}") for fold in _FOLDS)


#: The modes that teach: each judges the inner fold that it did not train on.
_TEACH = {
    f"without_fold{fold}": Classifier(
        "selfmis_finetune",
        {**ALL_LEADS, "task.inner_folds": TEACHER_FOLDS, "task.inner_fold": fold},
        about=f"{FINETUNE}, without inner fold {fold} of {TEACHER_FOLDS} of the training patients",
        rate_of=FINETUNE,
    )
    for fold in _FOLDS
}
_LABELS, _PRETRAINED = "twelve_lead_labels", "twelve_lead_teachers"
_CROPS = {"task.crop_seconds": CROP_SECONDS}


def _student(
    name: str,
    how: str,
    encoder: Stage | None = None,
    teachers: tuple[Mode, ...] = _teachers(_LABELS),
    overrides: Mapping[str, object] | None = None,
) -> Method:
    mode = Classifier(
        "distillation",
        {**LEAD_I, **(overrides or {})},
        starts_from={"task.teachers": teachers},
        reads={"task.unlabelled": UNLABELLED},
        rates=_RATES,
        about=f"{FINETUNE}, on the labels and on a 12-lead classifier's probabilities",
    )
    return Method(name, f"taught by 12 leads{how}", encoder, {FINETUNE: mode}, by_name=True)


METHODS = (
    Method(
        _LABELS,
        "12 leads, trained on the labels alone",
        None,
        {FINETUNE: Classifier("selfmis_finetune", ALL_LEADS, rates=_RATES), **_TEACH},
        by_name=True,
    ),
    Method(
        _PRETRAINED,
        "12 leads, encoder from other databases' labels",
        MULTI_LEAD,
        {FINETUNE: Classifier("selfmis_finetune", ALL_LEADS, rates=_RATES), **_TEACH},
        by_name=True,
    ),
    _student("distillation", ""),
    _student("distillation_from_selfmis", ", from SelfMIS", SELFMIS),
    _student("distillation_from_supervised", ", from an encoder trained on labels", SINGLE_LEAD),
    _student("distillation_crops", ", pieces of 7 s", overrides=_CROPS),
    _student(
        "distillation_from_selfmis_crops",
        ", from SelfMIS, both in pieces of 7 s",
        SELFMIS_CROPS,
        overrides=_CROPS,
    ),
    _student(
        "distillation_pretrained_teachers",
        ", whose encoders come from other databases' labels",
        teachers=_teachers(_PRETRAINED),
    ),
    _student(
        "distillation_pretrained_from_selfmis",
        ", whose encoders come from other databases' labels, from SelfMIS",
        SELFMIS,
        _teachers(_PRETRAINED),
    ),
    _student(
        "distillation_all_together",
        ", whose encoders come from other databases' labels, from SelfMIS, both in pieces of 7 s",
        SELFMIS_CROPS,
        _teachers(_PRETRAINED),
        overrides=_CROPS,
    ),
    _student(
        "distillation_soft", " alone, without labels", overrides={"criterion.hard_weight": 0.0}
    ),
    _student(
        "distillation_temperature", ", temperature 2", overrides={"criterion.temperature": 2.0}
    ),
    _student(
        "distillation_embedding", ", embeddings too", overrides={"criterion.embedding_weight": 0.1}
    ),
    _student(
        "distillation_in_sample",
        " that know the records",
        teachers=(Mode(_LABELS, FINETUNE),),
        overrides={"task.in_sample_teacher": True},
    ),
)
