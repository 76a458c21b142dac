"""The plugin's own file of one encoder: safetensors, with the shape and the preprocessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from selfmis_plugin.checkpoints.reading import (
    CheckpointError,
    first_line,
    folder_of_weights,
    note_read,
    refuse_absent,
)
from selfmis_plugin.checkpoints.weights import EncoderWeights, checked
from selfmis_plugin.data.preprocessing import HIGHEST_RATE, LOWEST_RATE, Preprocessing
from selfmis_plugin.nn.encoder import describe_shape, shape_from
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.utils.fields import Fields
from selfmis_plugin.utils.files import whole_file

__all__ = ["SUFFIX", "read_metadata", "read_own_file", "write_own_file"]

SUFFIX = ".safetensors"
_FORMAT = "selfmis_encoder"


def read_metadata(path: Path) -> dict[str, str]:
    """Return what a safetensors file says beside its weights.

    Raises
    ------
    CheckpointError
        If it cannot be read.
    """
    refuse_absent(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except Exception as error:  # whatever a damaged file makes of the library that reads it
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path}: cannot be read as a safetensors file ({first_line(error)}): it is cut "
        "short, damaged or of another format; copy or download it again"
    )


def read_own_file(path: Path) -> EncoderWeights:
    """Read what :func:`write_own_file` wrote.

    Raises
    ------
    CheckpointError
        If it cannot be read, or is no such file.
    """
    refuse_absent(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # whatever a damaged file makes of the library that reads it
        raise _damaged(path, error) from error
    note_read(path)
    try:
        config, preprocessing = _described(Fields(metadata))
    except (RecursionError, TypeError, ValueError) as error:
        if folder := folder_of_weights(path):
            raise CheckpointError(
                f"{path}: holds the weights of an exported folder: give {folder}"
            ) from error
        raise CheckpointError(
            f"{path}: not an encoder of this plugin ({first_line(error)}): give a file that "
            "selfmis_plugin.save_encoder wrote"
        ) from error
    found = EncoderWeights(config, {}, preprocessing, "encoder")
    return replace(found, state_dict=checked(path, weights, config, found.in_leads))


def _described(metadata: Fields) -> tuple[Any, dict[str, Any] | None]:
    """Shape of the encoder and, where the file says it, how its input is prepared."""
    if metadata["format"] != _FORMAT:
        raise ValueError(f"its format is {metadata['format']!r}")
    values = Fields(json.loads(metadata["config"]), "config")
    # Version 0.1 knew one kind.
    config = shape_from(values) if "kind" in values else Net1DConfig(**values)
    if "preprocessing" not in metadata:
        return config, None
    described = Fields(json.loads(metadata["preprocessing"]), "preprocessing")
    # Of a host's own methods only the sample rate is known.
    if "leads" in described:
        return config, Preprocessing.from_dict(described).to_dict()
    if "sample_rate" in described:
        described.number("sample_rate", least=LOWEST_RATE, most=HIGHEST_RATE)
    return config, dict(described)


def write_own_file(
    path: Path, weights: EncoderWeights, further: Mapping[str, str] | None = None
) -> None:
    """Write weights that fit their shape, whole or not at all, with *further* metadata."""
    config = weights.config
    values = asdict(config) if isinstance(config, Net1DConfig) else describe_shape(config)
    metadata = {"format": _FORMAT, "config": json.dumps(values)}
    if weights.preprocessing is not None:
        metadata["preprocessing"] = json.dumps(weights.preprocessing)
    metadata |= further or {}
    tensors = {
        name: value.detach().to("cpu", torch.float32, copy=True).contiguous()
        for name, value in weights.state_dict.items()
    }
    with whole_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata)
