"""Encoders from labels: ECGFounder's, or stand-ins of the same size trained on an archive."""

from __future__ import annotations

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.method import ARCHIVE, FINETUNE, LEAD_I, PROBE, Method, Stage
from selfmis_plugin.methods.ways import AS_IT_IS, finetune, probe

ALL_LEADS = {"task.leads": STANDARD_LEADS}

SINGLE_LEAD = Stage(
    "single_lead_encoder",
    "selfmis_supervised",
    ARCHIVE,
    overrides=LEAD_I,
    given_by="single_lead_checkpoint",
)
MULTI_LEAD = Stage(
    "multi_lead_encoder",
    "selfmis_supervised",
    ARCHIVE,
    overrides=ALL_LEADS,
    given_by="multi_lead_checkpoint",
)

METHODS = (
    Method(
        "ecgfounder",
        "ECGFounder (or its stand-in)",
        SINGLE_LEAD,
        {PROBE: probe(LEAD_I), FINETUNE: finetune(LEAD_I), **AS_IT_IS},
        paper="ECGFounder",
        reference=True,
    ),
    Method(
        "random_encoder",
        "random encoder",
        None,
        {PROBE: probe(LEAD_I)},
    ),
    Method(
        "twelve_lead",
        "12 leads (upper bound)",
        MULTI_LEAD,
        {PROBE: probe(ALL_LEADS), FINETUNE: finetune(ALL_LEADS), **AS_IT_IS},
    ),
)
