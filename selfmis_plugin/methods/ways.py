"""Ways to train a classifier over an encoder, as people do it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from selfmis_plugin.methods.method import (
    FINETUNE,
    PROBE,
    UNTRAINED,
    ZERO_SHOT,
    Classifier,
    Mode,
    Stage,
)


def probe(leads: Mapping[str, object]) -> Classifier:
    """Return linear probing on *leads*, which are a config key."""
    return Classifier("selfmis_linear_probe", leads, about="a linear head, the encoder frozen")


def untrained(probe: Classifier) -> Classifier:
    """Return *probe* on an encoder of the same kind whose weights are random."""
    return dataclasses.replace(
        probe, untrained=True, about="a linear head on an encoder of this kind with random weights"
    )


#: Learning rates of fine-tuning that trials compare: those of training on the labels alone, so that
#: no row has more of a choice than what it is compared with.
FINETUNE_RATES = {"full": (2.5e-5, 1e-4, 4e-4, 1.6e-3), "small": (6.25e-4, 2.5e-3, 0.01, 0.04)}


def host_ways(leads: Mapping[str, object], stage: Stage) -> dict[str, Classifier]:
    """Return every way to judge the encoder of a training of the host's own, and an untrained one.

    Only such a training can build its encoder, so the untrained one comes of one that does not
    move.
    """
    still = {"optimization.max_update": 1, "optimization.lr": (0.0,)}
    begun = dataclasses.replace(
        stage, name=f"{stage.name}_untrained", overrides={**stage.overrides, **still}, rates={}
    )
    floor = dataclasses.replace(
        probe(leads),
        starts_from={"model.encoder_checkpoint": begun},
        about=f"{PROBE}, on the encoder as its pre-training begins",
    )
    return {**ways(leads, stage.rates), UNTRAINED: floor}


def finetune(
    leads: Mapping[str, object], rates: Mapping[str, tuple[float, ...]] = FINETUNE_RATES
) -> Classifier:
    """Return full fine-tuning on *leads*, and the learning rates that trials compare."""
    about = "encoder and head, at one learning rate"
    return Classifier("selfmis_finetune", leads, about=about, rates=rates)


#: An untrained encoder of the kind that most methods here train, and how it is judged.
RANDOM_ENCODER = Mode("random_encoder", PROBE)

#: An encoder that was trained on labels of its own, by the head that came of it.
AS_IT_IS = {
    ZERO_SHOT: Classifier(
        None,
        about="nothing trained, the encoder's own head: its labels that name a statement, and the "
        "probability of any of them where several do",
    )
}


def ways(
    leads: Mapping[str, object], rates: Mapping[str, tuple[float, ...]] = FINETUNE_RATES
) -> dict[str, Classifier]:
    """Return every way by the name of its mode, each one thing away from full fine-tuning, whose
    *rates* trials compare."""

    def changed(key: str, value: object, about: str) -> Classifier:
        keys, words = {**leads, key: value}, f"{FINETUNE}, {about}"
        return Classifier("selfmis_finetune", keys, about=words, rate_of=FINETUNE)

    return {
        PROBE: probe(leads),
        FINETUNE: finetune(leads, rates),
        "finetune_warmup": changed(
            "model.freeze_encoder_updates", 200, "only the head in the first 200 updates"
        ),
        "finetune_slow_encoder": changed(
            "model.encoder_lr_scale", 0.1, "the encoder at 0.1 of the head's learning rate"
        ),
        "finetune_class_weights": changed(
            "criterion.positive_weight_cap",
            10.0,
            "positives weighted by negatives over positives, at most 10",
        ),
        "finetune_two_stage": Classifier(
            "selfmis_finetune_two_stage",
            leads,
            "model.classifier_checkpoint",
            starts_from=PROBE,
            about="from the encoder and head of probe, the encoder at 0.1 of the head's rate",
        ),
    }
