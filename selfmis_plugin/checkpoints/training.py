"""Training checkpoints: what was trained, and an encoder out of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from selfmis_plugin.checkpoints.reading import CheckpointError, some
from selfmis_plugin.checkpoints.weights import EncoderWeights, Tower, checked
from selfmis_plugin.data.leads import reference_leads
from selfmis_plugin.nn.net1d import Net1DConfig

__all__ = ["from_training", "model_name"]

_TOWER_PREFIX = {"single": "towers.single.", "multi": "towers.multi."}
_ENCODER_PREFIX = "network.encoder."


def model_name(payload: Mapping[str, Any]) -> str | None:
    """Return the registered name of a checkpoint's model; None where it says none."""
    name = _mapping(_mapping(payload.get("cfg")).get("model")).get("_name")
    return name if isinstance(name, str) else None


def from_training(
    path: Path, payload: Mapping[str, Any], state: Mapping[str, Any], tower: Tower
) -> EncoderWeights:
    """Return the weights of one encoder of a training checkpoint of this plugin.

    Parameters
    ----------
    path, payload
        The file, and what it holds.
    state
        Its model's weights.
    tower
        Which encoder of a pre-training.

    Raises
    ------
    CheckpointError
        If it holds no such encoder.
    """
    if any(name.startswith(_TOWER_PREFIX[tower]) for name in state):
        kind, prefix = "selfmis", _TOWER_PREFIX[tower]
    elif any(name.startswith(_ENCODER_PREFIX) for name in state):
        kind, prefix = "selfmis_classifier", _ENCODER_PREFIX
    else:
        model = _mapping(payload["cfg"].get("model")).get("_name")
        raise CheckpointError(
            f"{path}: a training checkpoint of the model {model!r}, not of this plugin "
            f"(its weights are {some(state)}): give a checkpoint of selfmis or selfmis_classifier"
        )
    model_config = _mapping(payload["cfg"].get("model"))
    weights = {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
    first = weights.get("first_conv.weight")
    if not isinstance(first, Tensor) or first.dim() != 3:
        raise CheckpointError(f"{path}: {prefix}first_conv.weight is missing or misshapen")
    try:
        config = Net1DConfig.from_mapping(model_config, in_leads=first.shape[1])
    except KeyError as error:
        raise CheckpointError(
            f"{path}: its configuration (cfg.model) does not give {error.args[0]}: it is not a "
            "checkpoint of this plugin, or was edited"
        ) from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: its configuration (cfg.model) is not usable: {error}"
        ) from error
    preprocessing = dict(_mapping(_mapping(payload.get("task_state")).get("preprocessing")))
    if preprocessing and kind == "selfmis":
        # The pre-training reads whole records; a tower has seen only its leads of them.
        preprocessing["leads"] = (
            [model_config.get("lead", "I")]
            if tower == "single"
            else list(reference_leads(preprocessing["leads"], model_config.get("multi_leads")))
        )
    return EncoderWeights(
        config=config,
        state_dict=checked(path, weights, config),
        preprocessing=preprocessing or None,
        kind=kind,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
