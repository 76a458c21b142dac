"""ST-MEM (Na et al., 2024): masked patches of all twelve leads."""

from __future__ import annotations

from selfmis_plugin.methods.method import (
    FINETUNE,
    LEAD_I,
    PROBE,
    UNLABELLED,
    UNTRAINED,
    Classifier,
    Method,
    Stage,
)
from selfmis_plugin.methods.ways import FINETUNE_RATES, untrained

_ZERO_MASKED = {**LEAD_I, "model.zero_masked": True}

_PROBE = Classifier(
    "st_mem_linear_probe",
    LEAD_I,
    about="a linear head on lead I's tokens alone (its authors' weights, where given, are for "
    "non-commercial use)",
)

_RATES = {"full": (1.875e-5, 7.5e-5, 3e-4, 1.2e-3), "small": (1.25e-4, 5e-4, 2e-3, 8e-3)}

METHODS = (
    Method(
        "st_mem",
        "ST-MEM",
        Stage("st_mem", "st_mem", UNLABELLED, given_by="st_mem_checkpoint", rates=_RATES),
        {
            PROBE: _PROBE,
            FINETUNE: Classifier(
                "st_mem_finetune",
                LEAD_I,
                about="encoder and head, on lead I's tokens alone",
                rates=FINETUNE_RATES,
            ),
            "probe_zero_masked": Classifier(
                "st_mem_linear_probe",
                _ZERO_MASKED,
                about="a linear head on the tokens of twelve leads, eleven of them zero",
            ),
            UNTRAINED: untrained(_PROBE),
        },
        paper="ST-MEM",
    ),
)
