"""HeartLang's row: words of heartbeats, then masked sentences of them (Jin et al., ICLR 2025)."""

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

TOKENIZER = Stage(
    "heartlang_tokenizer",
    "heartlang_tokenizer",
    UNLABELLED,
    given_by="heartlang_tokenizer_checkpoint",
)

METHODS = (
    Method(
        "heartlang",
        "HeartLang",
        Stage(
            "heartlang",
            "heartlang_pretrain",
            UNLABELLED,
            starts_from={"model.tokenizer_checkpoint": TOKENIZER},
            given_by="heartlang_checkpoint",
        ),
        {
            PROBE: Classifier(
                "heartlang_linear_probe", LEAD_I, about="a linear head, the encoder frozen"
            ),
            FINETUNE: Classifier(
                "heartlang_finetune", LEAD_I, about="encoder and head, at one learning rate"
            ),
        },
        paper="HeartLang",
    ),
)
