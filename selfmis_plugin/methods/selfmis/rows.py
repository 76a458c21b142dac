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
    Method,
    Mode,
    Stage,
)
from selfmis_plugin.methods.supervised.rows import MULTI_LEAD, SINGLE_LEAD
from selfmis_plugin.methods.ways import RANDOM_ENCODER, finetune, probe, ways

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

METHODS = (
    Method(
        "selfmis",
        "SelfMIS",
        _aligned("selfmis", {**_SINGLE, **_MULTI}),
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
        {FINETUNE: dataclasses.replace(finetune(LEAD_I), rates=_RATES)},
        paper="w/o Alignment",
        ablation=FINETUNE,
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
