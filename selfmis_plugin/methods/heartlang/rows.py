"""HeartLang's row: words of heartbeats, then masked sentences of them (Jin et al., ICLR 2025)."""

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
from selfmis_plugin.methods.ways import untrained

TOKENIZER = Stage(
    "heartlang_tokenizer",
    "heartlang_tokenizer",
    UNLABELLED,
    given_by="heartlang_tokenizer_checkpoint",
    share=0.5,
)

_PROBE = Classifier("heartlang_linear_probe", LEAD_I, about="a linear head, the encoder frozen")

_RATES = {"full": (1.25e-4, 5e-4, 2e-3, 8e-3), "small": (2.5e-4, 1e-3, 4e-3, 0.016)}

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
            rates=_RATES,
            share=0.5,
        ),
        {
            PROBE: _PROBE,
            FINETUNE: Classifier(
                "heartlang_finetune",
                LEAD_I,
                about="encoder and head, at one learning rate",
                rates=_RATES,
            ),
            UNTRAINED: untrained(_PROBE),
        },
        paper="HeartLang",
    ),
)
