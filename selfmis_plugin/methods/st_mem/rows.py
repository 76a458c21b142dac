"""ST-MEM (Na et al., 2024): masked patches of all twelve leads."""

from __future__ import annotations

from selfmis_plugin.methods.method import (
    FINETUNE,
    LEAD_I,
    PROBE,
    UNLABELLED,
    Classifier,
    Method,
    Stage,
)

_ZERO_MASKED = {**LEAD_I, "model.zero_masked": True}

METHODS = (
    Method(
        "st_mem",
        "ST-MEM",
        Stage("st_mem", "st_mem", UNLABELLED, given_by="st_mem_checkpoint"),
        {
            PROBE: Classifier(
                "st_mem_linear_probe",
                LEAD_I,
                about="a linear head on lead I's tokens alone (its authors' weights, where given, "
                "are for non-commercial use)",
            ),
            FINETUNE: Classifier(
                "st_mem_finetune", LEAD_I, about="encoder and head, on lead I's tokens alone"
            ),
            "probe_zero_masked": Classifier(
                "st_mem_linear_probe",
                _ZERO_MASKED,
                about="a linear head on the tokens of twelve leads, eleven of them zero",
            ),
        },
        paper="ST-MEM",
    ),
)
