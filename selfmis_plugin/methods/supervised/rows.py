"""Encoders from labels: ECGFounder's, or stand-ins of the same size trained on an archive."""

from __future__ import annotations

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.method import (
    ARCHIVE,
    FINETUNE,
    LEAD_I,
    PROBE,
    Method,
    Stage,
)
from selfmis_plugin.methods.ways import AS_IT_IS, RANDOM_ENCODER, finetune, probe

ALL_LEADS = {"task.leads": STANDARD_LEADS}

_RATES = {"full": (1.25e-4, 5e-4, 2e-3, 8e-3), "small": (6.25e-4, 2.5e-3, 0.01, 0.04)}

SINGLE_LEAD = Stage(
    "single_lead_encoder",
    "selfmis_supervised",
    ARCHIVE,
    overrides=LEAD_I,
    given_by="single_lead_checkpoint",
    rates=_RATES,
)
MULTI_LEAD = Stage(
    "multi_lead_encoder",
    "selfmis_supervised",
    ARCHIVE,
    overrides=ALL_LEADS,
    given_by="multi_lead_checkpoint",
    rates=_RATES,
)

#: The leads over the heart alone.
CHEST_LEADS = Stage(
    "chest_lead_encoder",
    "selfmis_supervised",
    ARCHIVE,
    overrides={"task.leads": STANDARD_LEADS[6:]},
    given_by="chest_lead_checkpoint",
    rates=_RATES,
)

METHODS = (
    Method(
        "ecgfounder",
        "ECGFounder (or its stand-in)",
        SINGLE_LEAD,
        {
            PROBE: probe(LEAD_I),
            FINETUNE: finetune(LEAD_I),
            **AS_IT_IS,
        },
        paper="ECGFounder",
        reference=True,
        floor=RANDOM_ENCODER,
    ),
    Method(
        RANDOM_ENCODER.method,
        "random encoder",
        None,
        {PROBE: probe(LEAD_I)},
    ),
    Method(
        "twelve_lead",
        "12 leads (upper bound)",
        MULTI_LEAD,
        {
            PROBE: probe(ALL_LEADS),
            FINETUNE: finetune(ALL_LEADS),
            **AS_IT_IS,
        },
    ),
)
