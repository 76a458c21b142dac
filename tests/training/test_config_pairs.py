"""A config and its small one say the same, but for what makes it small.

They are whole files each: of a file and the ``defaults:`` that it names, the file wins in Hydra 1.3
and the defaults in Hydra 1.0, so no list of defaults serves both.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from selfmis_plugin.training.configs import configs_folder
from selfmis_plugin.training.known_configs import known_configs

#: What a small training may do in its own way, whatever it trains.
TRAINING = {
    "common.fp16", "common.log_interval", "checkpoint.best_checkpoint_metric",
    "checkpoint.maximize_best_checkpoint_metric", "checkpoint.patience", "criterion.ridge",
    "dataset.batch_size",
    "dataset.num_workers", "task.sample_rate", "optimizer.weight_decay", "lr_scheduler._name",
    "lr_scheduler.min_lr", "lr_scheduler.warmup_updates", "optimization.clip_norm",
    "optimization.lr", "optimization.max_epoch", "optimization.update_freq",
}  # fmt: skip
_TRANSFORMER = {"model.depth", "model.heads", "model.width"}
_NET1D = {"model.base_filters", "model.blocks", "model.filters"}
_UNET = {"model.discriminator_widths", "model.widths", "model.window"}
#: And the sizes of its networks, by what the config's name begins with.
SIZES = {
    "baselines/": {
        "model.conv_feature_layers", "model.conv_pos", "model.encoder_attention_heads",
        "model.encoder_embed_dim", "model.encoder_ffn_embed_dim", "model.encoder_layers",
        "model.final_dim", "model.latent_vars", "model.mask_length", "model.num_negatives",
    },
    "cyclegan": _UNET,
    "distillation": _NET1D,
    "ekgan": {*_UNET, "model.norm_momentum"},
    "heartlang_": {
        *_TRANSFORMER, "model.deviation", "model.dropout", "model.head_width", "model.hidden",
        "model.code_size", "model.codes", "model.decay", "model.decoder_depth",
    },
    "mcma": {"model.filters", "model.window"},
    "modally_reduced": {
        *_TRANSFORMER, "model.patch_size", "model.decoder_depth", "model.decoder_width",
    },
    "pix2pix": {*_UNET, "model.norm_momentum"},
    "selfmis_": _NET1D,
    "st_mem": {
        *_TRANSFORMER, "model.patch_size", "model.samples", "model.decoder_depth",
        "model.decoder_width",
    },
}  # fmt: skip
#: The one config that is no size of a training of its own.
ALONE = {"selfmis_pretrain_paper"}


def keys(values: dict[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from keys(value, f"{start}{name}.")
        else:
            yield f"{start}{name}", value


def differing(one: Path, other: Path) -> set[str]:
    """Keys that two configs give different values, or that only one has."""
    first, second = (
        dict(keys(yaml.safe_load(file.read_text(encoding="utf-8")))) for file in (one, other)
    )
    nothing = object()
    every = first.keys() | second.keys()
    return {key for key in every if first.get(key, nothing) != second.get(key, nothing)}


OWN = known_configs([configs_folder()])
FULL = sorted(name for name in OWN if not name.endswith("_small"))


def test_every_config_has_a_small_one() -> None:
    assert {name for name in FULL if f"{name}_small" not in OWN} == ALONE
    assert {name.removesuffix("_small") for name in OWN} == set(FULL)


@pytest.mark.parametrize("name", sorted(set(FULL) - ALONE))
def test_a_small_config_differs_in_what_makes_it_small(name: str) -> None:
    (sizes,) = [keys for start, keys in SIZES.items() if name.startswith(start)]
    assert differing(OWN[name], OWN[f"{name}_small"]) <= TRAINING | sizes


def test_nothing_is_listed_that_does_not_differ() -> None:
    found = {name: differing(OWN[name], OWN[f"{name}_small"]) for name in set(FULL) - ALONE}
    assert set().union(*found.values()) >= TRAINING
    for start, sizes in SIZES.items():
        assert set().union(*(f for name, f in found.items() if name.startswith(start))) >= sizes
