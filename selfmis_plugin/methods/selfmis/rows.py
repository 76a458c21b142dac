"""SelfMIS, and what is left of it without its parts (the paper's table 5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from selfmis_plugin.methods.method import (
    FINETUNE,
    LEAD_I,
    PROBE,
    UNLABELLED,
    Claim,
    Classifier,
    Method,
    Mode,
    Stage,
)
from selfmis_plugin.methods.supervised.rows import CHEST_LEADS, MULTI_LEAD, SINGLE_LEAD
from selfmis_plugin.methods.ways import (
    FINETUNE_RATES,
    RANDOM_ENCODER,
    finetune,
    probe,
    ways,
)

#: Table 5 is about probing.
_ABLATED = {PROBE: probe(LEAD_I)}


_RATES = {"full": (2.5e-5, 1e-4, 4e-4, 1.6e-3), "small": (6.25e-4, 2.5e-3, 0.01, 0.04)}


def _aligned(name: str, starts_from: Mapping[str, Stage], **overrides: object) -> Stage:
    return Stage(
        name, "selfmis_pretrain", UNLABELLED, starts_from, overrides=overrides, rates=_RATES
    )


_SINGLE = {"model.single_lead_checkpoint": SINGLE_LEAD}
_MULTI = {"model.multi_lead_checkpoint": MULTI_LEAD}
_UNTRAINED = {"model.allow_untrained_tower": True}

#: The method's own training, which other rows share.
SELFMIS = _aligned("selfmis", {**_SINGLE, **_MULTI})

#: Seconds of a piece of a record of ten.
CROP_SECONDS = 7.0
_CROPS = {"task.crop_seconds": CROP_SECONDS}
_LABELS_WITH_CROPS = Classifier(
    "selfmis_finetune", {**LEAD_I, **_CROPS}, about=f"{FINETUNE}, on random pieces of 7 s"
)
#: With pieces in the pre-training.
SELFMIS_CROPS = _aligned("selfmis_crops", {**_SINGLE, **_MULTI}, **_CROPS)


def _first_stage(title: str, stage: Stage) -> Method:
    """Return a row that differs from SelfMIS in its pre-training alone."""
    modes = {
        PROBE: probe(LEAD_I),
        FINETUNE: finetune(LEAD_I),
        "finetune_crops": dataclasses.replace(_LABELS_WITH_CROPS, rate_of=FINETUNE),
    }
    return Method(stage.name, title, stage, modes, floor=RANDOM_ENCODER, by_name=True)


def _otherwise(name: str, **overrides: object) -> Stage:
    return _aligned(f"selfmis_{name}", {**_SINGLE, **_MULTI}, **overrides)


_COSINE = {"criterion.objective": "cosine"}
_CENTERED = {"criterion.center": True}
_ANEW = {**_CROPS, "task.cache_frozen_embeddings": False}

METHODS = (
    Method(
        "selfmis",
        "SelfMIS",
        SELFMIS,
        ways(LEAD_I),
        paper="SelfMIS (Ours)",
        ablation=PROBE,
        subject=True,
        floor=RANDOM_ENCODER,
    ),
    Method(
        "selfmis_without_s",
        "w/o S pre-trained checkpoint",
        _aligned("selfmis_without_s", _MULTI),
        _ABLATED,
        paper="w/o S Pre-trained Checkpoint",
        ablation=PROBE,
        floor=RANDOM_ENCODER,
    ),
    Method(
        "selfmis_without_m",
        "w/o M pre-trained checkpoint",
        _aligned("selfmis_without_m", _SINGLE, **_UNTRAINED),
        _ABLATED,
        paper="w/o M Pre-trained Checkpoint",
        ablation=PROBE,
        floor=RANDOM_ENCODER,
    ),
    Method(
        "selfmis_without_sm",
        "w/o S-M pre-trained checkpoint",
        _aligned("selfmis_without_sm", {}, **_UNTRAINED),
        _ABLATED,
        paper="w/o S-M Pre-trained Checkpoint",
        ablation=PROBE,
        floor=RANDOM_ENCODER,
    ),
    Method(
        "without_alignment",
        "w/o alignment: trained on the labels alone",
        None,
        {FINETUNE: finetune(LEAD_I)},
        paper="w/o Alignment",
        ablation=FINETUNE,
    ),
    Method(
        "without_alignment_crops",
        "trained on the labels alone, pieces of 7 s",
        None,
        {FINETUNE: dataclasses.replace(_LABELS_WITH_CROPS, rates=FINETUNE_RATES)},
        by_name=True,
    ),
    _first_stage(
        "SelfMIS with InfoNCE", _otherwise("info_nce", **{"criterion.objective": "info_nce"})
    ),
    _first_stage("SelfMIS with cosine regression", _otherwise("cosine", **_COSINE)),
    _first_stage("SelfMIS, frozen embeddings centred", _otherwise("centered", **_CENTERED)),
    _first_stage(
        "SelfMIS with cosine regression, centred",
        _otherwise("cosine_centered", **_COSINE, **_CENTERED),
    ),
    _first_stage(
        "SelfMIS, chest leads as the frozen view",
        _aligned(
            "selfmis_chest_leads",
            {**_SINGLE, "model.multi_lead_checkpoint": CHEST_LEADS},
            **{"model.multi_leads": CHEST_LEADS.overrides["task.leads"]},
        ),
    ),
    _first_stage("SelfMIS, lead I in pieces of 7 s", SELFMIS_CROPS),
    _first_stage(
        "SelfMIS, frozen embeddings centred, lead I in pieces of 7 s",
        _otherwise("crops_centered", **_CROPS, **_CENTERED),
    ),
    _first_stage(
        "SelfMIS with cosine regression, centred, lead I in pieces of 7 s",
        _otherwise("crops_cosine_centered", **_CROPS, **_COSINE, **_CENTERED),
    ),
    _first_stage(
        "SelfMIS, lead I in four pieces of 7 s a record",
        _otherwise("windows", **_CROPS, **{"task.windows": 4}),
    ),
    _first_stage(
        "SelfMIS, both views in the same piece of 7 s",
        _otherwise("crops_same", **_ANEW, **{"task.crop_views": "same"}),
    ),
    _first_stage(
        "SelfMIS, each view in a piece of 7 s of its own",
        _otherwise("crops_independent", **_ANEW, **{"task.crop_views": "independent"}),
    ),
)

_WHOLE = Mode("selfmis", PROBE)
_WITHOUT_S, _WITHOUT_M = Mode("selfmis_without_s", PROBE), Mode("selfmis_without_m", PROBE)

#: The order of the paper's table 5.
CLAIMS = (
    Claim("alignment helps", _WHOLE, Mode("without_alignment", FINETUNE)),
    Claim("a pre-trained 12-lead encoder helps", _WHOLE, _WITHOUT_M),
    Claim("a pre-trained lead-I encoder helps", _WHOLE, _WITHOUT_S),
    Claim(
        "the 12-lead encoder's pre-training helps more than the lead-I encoder's",
        _WITHOUT_S,
        _WITHOUT_M,
    ),
)
