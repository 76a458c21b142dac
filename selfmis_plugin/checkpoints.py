"""The door for weights: whatever file they come in, they leave here under the names of
:class:`Net1D`.

Files are read without running code that they carry.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from selfmis_plugin.data.leads import STANDARD_LEADS, reference_leads
from selfmis_plugin.files import whole_file
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig

__all__ = [
    "CheckpointError",
    "EncoderWeights",
    "ecgfounder_weights",
    "load_encoder_weights",
    "read_checkpoint",
    "save_encoder_weights",
    "to_ecgfounder",
]

Tower = Literal["single", "multi"]


class CheckpointError(ValueError):
    """A file of weights that cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class EncoderWeights:
    """Weights of one encoder, with what is needed to use them.

    Attributes
    ----------
    config
        Shape of the network that the weights fit.
    state_dict
        Float32 tensors under the names of :class:`~selfmis_plugin.nn.net1d.Net1D`, independent of
        the file.
    preprocessing
        How signals were prepared for these weights; None where the file does not say.
    kind
        ``"ecgfounder"``, ``"selfmis"`` (pre-training), ``"selfmis_classifier"`` or ``"encoder"``
        (a file of :func:`save_encoder_weights`).
    head
        What an ECGFounder file has in its ``dense`` layer, ``weight`` and ``bias``, unchecked.
    """

    config: Net1DConfig
    state_dict: dict[str, Tensor]
    preprocessing: dict[str, Any] | None
    kind: str
    head: Mapping[str, Any] = field(default_factory=dict)


# Toolkits keep numbers of numpy's in the state of their progress metrics.  Building one runs no
# code of the file.
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])
_NUMPY_GLOBALS: list[Any] = [
    np.dtype,
    _NUMPY_SCALAR,
    # numpy 2 moved it; files of either version are read by either, where torch takes a name.
    *(
        (_NUMPY_SCALAR, f"numpy.{core}.multiarray.scalar")
        for core in ("core", "_core")
        if _TORCH >= (2, 6)
    ),
    *(
        type(np.dtype(name))
        for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
    ),
]


def _numpy_allowed() -> AbstractContextManager[Any]:
    """Let torch build numpy's numbers; torch 2.4 can only be told for good."""
    if _TORCH >= (2, 5):
        return torch.serialization.safe_globals(_NUMPY_GLOBALS)
    torch.serialization.add_safe_globals(_NUMPY_GLOBALS)
    return nullcontext()


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file written by :func:`torch.save`, on the CPU, without running code from it.

    Parameters
    ----------
    path
        The file.  Files of the current format are memory-mapped, so that parts which are not used
        cost nothing; do not overwrite the file in place while the result is in use.

    Returns
    -------
    dict
        What was saved.

    Raises
    ------
    CheckpointError
        If the file is not there, is damaged, holds objects other than tensors, numbers, text and
        containers of them, or is not a dictionary.
    """
    path = Path(path)
    _refuse_absent(path)
    try:
        with _numpy_allowed():
            payload = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None
            )
    except pickle.UnpicklingError as error:
        refused = re.search(r"(?:GLOBAL|global:?)\s+(?:GLOBAL\s+)?`?([\w.]+)", str(error))
        if refused:
            raise CheckpointError(
                f"{path}: holds a Python object ({refused[1]}) beside weights, and objects in a "
                "file can run "
                "code when they are read: refused. Save its tensors and plain values only, with "
                "torch.save"
            ) from error
        raise CheckpointError(f"{path}: {_DAMAGED}") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        raise CheckpointError(f"{path}: {_DAMAGED} ({_first_line(error)})") from error
    if not isinstance(payload, dict):
        raise CheckpointError(
            f"{path}: holds a {type(payload).__name__}, not a dictionary of weights: save a state "
            "dict"
        )
    return payload


_DAMAGED = (
    "cannot be read as a PyTorch checkpoint: it is cut short, damaged or of another format; "
    "copy or download it again"
)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def load_encoder_weights(path: str | Path, tower: Tower | None = "single") -> EncoderWeights:
    """Weights of one encoder from any file that has them.

    The content tells what a file is:

    - ECGFounder's published files and those that its authors' code saves after fine-tuning,
      ``{"state_dict": ...}`` (:func:`ecgfounder_weights`);
    - training checkpoints of this plugin from either toolkit, pre-training or classifier;
    - files of :func:`save_encoder_weights` (``.safetensors``).

    Parameters
    ----------
    path
        The file.
    tower
        Which encoder of a pre-training checkpoint.  Of other files there is only one, which has
        to read one lead for ``"single"`` and several for ``"multi"``.  None takes the single-lead
        encoder of a pre-training checkpoint, and of other files the one that is there.

    Returns
    -------
    EncoderWeights

    Raises
    ------
    CheckpointError
        If the file cannot be read (:func:`read_checkpoint`), holds no encoder, or its encoder
        does not fit.
    """
    path = Path(path)
    if tower not in ("single", "multi", None):
        raise ValueError(f"tower must be 'single' or 'multi', not {tower!r}")
    if path.suffix == _OWN_SUFFIX:
        weights = _from_own_file(path)
    else:
        payload = read_checkpoint(path)
        state = payload.get("model")
        if isinstance(state, Mapping) and isinstance(payload.get("cfg"), Mapping):
            weights = _from_training(path, payload, state, tower or "single")
        else:
            founder = ecgfounder_weights(path, payload)
            if founder is None:
                raise CheckpointError(
                    f"{path}: neither a training checkpoint of this plugin nor ECGFounder weights "
                    f"(it has {_some(payload)}): give one of those"
                )
            weights = founder
    if tower is not None:
        _check_leads(path, weights, tower)
    return weights


def save_encoder_weights(
    path: str | Path,
    state_dict: Mapping[str, Tensor],
    config: Net1DConfig,
    preprocessing: Mapping[str, Any] | None = None,
) -> None:
    """Write the weights of one encoder, whole or not at all.

    Parameters
    ----------
    path
        ``.safetensors`` for a file of this plugin, which also holds the shape and the
        preprocessing; ``.pth`` for one laid out as ECGFounder's, which its authors' code loads.
    state_dict
        State of a :class:`~selfmis_plugin.nn.net1d.Net1D` of shape ``config``.
    config
        Its shape.
    preprocessing
        How signals were prepared for it, where that is known.

    Raises
    ------
    ValueError
        If the path ends in neither.
    CheckpointError
        If the state does not fit the shape.
    """
    path = Path(path)
    _check_names("state dict", state_dict, config)
    if path.suffix == ".pth":
        with whole_file(path) as temporary:
            torch.save({"state_dict": to_ecgfounder(state_dict, config)}, temporary)
        return
    if path.suffix != _OWN_SUFFIX:
        raise ValueError(
            f"{path}: name the file {_OWN_SUFFIX} for this plugin, or .pth for ECGFounder's layout"
        )
    metadata = {"format": _OWN_FORMAT, "config": json.dumps(asdict(config))}
    if preprocessing is not None:
        metadata["preprocessing"] = json.dumps(dict(preprocessing))
    tensors = {
        name: value.detach().to("cpu", torch.float32, copy=True).contiguous()
        for name, value in state_dict.items()
    }
    with whole_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata)


def to_ecgfounder(
    state_dict: Mapping[str, Tensor], config: Net1DConfig, classes: int = 150
) -> dict[str, Tensor]:
    """Weights of a :class:`~selfmis_plugin.nn.net1d.Net1D` as the state of ECGFounder's own
    module, complete: with the batch norms, which ``use_bn=False`` leaves unused, as they are
    initialised, and a ``dense`` head of zeros.

    Parameters
    ----------
    state_dict
        State of a network of shape ``config``.
    config
        Its shape.
    classes
        Outputs of the head.

    Returns
    -------
    dict
        Clones of the tensors, and the additional ones.

    Raises
    ------
    CheckpointError
        If the state does not fit the shape.
    """
    _check_names("state dict", state_dict, config)
    state = {_founder_name(name): tensor.detach().clone() for name, tensor in state_dict.items()}
    state |= _founder_norm("first_bn", config.base_filters)
    channels = config.base_filters
    for stage, (filters, blocks) in enumerate(zip(config.filters, config.blocks, strict=True)):
        for block in range(blocks):
            name = f"stage_list.{stage}.block_list.{block}"
            state |= _founder_norm(f"{name}.bn1", channels)
            state |= _founder_norm(f"{name}.bn2", config.middle_channels(filters))
            state |= _founder_norm(f"{name}.bn3", config.middle_channels(filters))
            channels = filters
    state["dense.weight"] = torch.zeros(classes, channels)
    state["dense.bias"] = torch.zeros(classes)
    return state


def _refuse_absent(path: Path) -> None:
    if path.is_dir():
        best = next(
            (path / name for name in _RUN_FILES if (path / name).is_file()), "checkpoint_best.pt"
        )
        raise CheckpointError(f"{path}: is a folder: give a checkpoint's file, such as {best}")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file: check the path of the checkpoint")


# -- files of this plugin's own


#: Where the best checkpoint lies below the folder that people name instead of it.
_RUN_FILES = ("checkpoint_best.pt", "checkpoints/checkpoint_best.pt")
_OWN_SUFFIX = ".safetensors"
_OWN_FORMAT = "selfmis_encoder"


def _from_own_file(path: Path) -> EncoderWeights:
    _refuse_absent(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as a safetensors file ({_first_line(error)}): it is cut "
            "short, damaged or of another format; copy or download it again"
        ) from error
    try:
        if metadata["format"] != _OWN_FORMAT:
            raise ValueError(f"its format is {metadata['format']!r}")
        config = Net1DConfig(**json.loads(metadata["config"]))
        described = metadata.get("preprocessing")
        preprocessing = None if described is None else dict(json.loads(described))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not an encoder of this plugin ({error!r}): give a file that "
            "selfmis_plugin.save_encoder wrote"
        ) from error
    return EncoderWeights(config, _checked(path, weights, config), preprocessing, "encoder")


# -- training checkpoints


_TOWER_PREFIX = {"single": "towers.single.", "multi": "towers.multi."}
_ENCODER_PREFIX = "network.encoder."


def _from_training(
    path: Path, payload: Mapping[str, Any], state: Mapping[str, Any], tower: Tower
) -> EncoderWeights:
    if any(name.startswith(_TOWER_PREFIX[tower]) for name in state):
        kind, prefix = "selfmis", _TOWER_PREFIX[tower]
    elif any(name.startswith(_ENCODER_PREFIX) for name in state):
        kind, prefix = "selfmis_classifier", _ENCODER_PREFIX
    else:
        model = _mapping(payload["cfg"].get("model")).get("_name")
        raise CheckpointError(
            f"{path}: a training checkpoint of the model {model!r}, not of this plugin "
            f"(its weights are {_some(state)}): give a checkpoint of selfmis or selfmis_classifier"
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
        state_dict=_checked(path, weights, config),
        preprocessing=preprocessing or None,
        kind=kind,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


# -- ECGFounder


_FOUNDER_FIRST = "first_conv.conv.weight"
_FOUNDER_UNUSED = re.compile(r"(^|\.)(first_bn|bn[123])\.|^dense\.")
_FOUNDER_STRIDE = 2


def _own_name(name: str) -> str:
    name = re.sub(r"^stage_list\.(\d+)\.block_list\.(\d+)\.", r"stages.\1.\2.", name)
    return re.sub(r"conv(\d?)\.conv\.", r"conv\1.", name)


def _founder_name(name: str) -> str:
    name = re.sub(r"^stages\.(\d+)\.(\d+)\.", r"stage_list.\1.block_list.\2.", name)
    return re.sub(r"conv(\d?)\.(weight|bias)$", r"conv\1.conv.\2", name)


def _founder_norm(name: str, channels: int) -> dict[str, Tensor]:
    return {
        f"{name}.weight": torch.ones(channels),
        f"{name}.bias": torch.zeros(channels),
        f"{name}.running_mean": torch.zeros(channels),
        f"{name}.running_var": torch.ones(channels),
        f"{name}.num_batches_tracked": torch.tensor(0),
    }


def ecgfounder_weights(path: Path, payload: Mapping[str, Any]) -> EncoderWeights | None:
    """Weights of a file laid out as ECGFounder's, published or fine-tuned by its authors' code.

    Its batch norms, which the authors leave unused, are dropped. The shape of the network is read
    off the tensors, its stride is taken as 2.

    Parameters
    ----------
    path
        The file.
    payload
        What :func:`read_checkpoint` found in it.

    Returns
    -------
    EncoderWeights or None
        With the ``dense`` layer as its head; None where the file is laid out in another way.

    Raises
    ------
    CheckpointError
        If its tensors make no network.
    """
    state = payload.get("state_dict", payload)
    if not isinstance(state, Mapping):
        return None
    state = {str(name).removeprefix("module."): value for name, value in state.items()}
    if _FOUNDER_FIRST not in state:
        return None
    weights = {_own_name(n): value for n, value in state.items() if not _FOUNDER_UNUSED.search(n)}
    config = _founder_config(path, weights)
    return EncoderWeights(
        config=config,
        state_dict=_checked(path, weights, config),
        preprocessing=_founder_preprocessing(config.in_leads),
        kind="ecgfounder",
        head={
            name.removeprefix("dense."): value
            for name, value in state.items()
            if name in ("dense.weight", "dense.bias")
        },
    )


def _founder_config(path: Path, weights: Mapping[str, Any]) -> Net1DConfig:
    """Shape of the network, read off its tensors (all but the stride, which leaves no trace in
    them)."""
    blocks: dict[int, int] = {}
    for name in weights:
        if found := re.match(r"stages\.(\d+)\.(\d+)\.", name):
            stage = int(found[1])
            blocks[stage] = max(blocks.get(stage, 0), int(found[2]) + 1)
    try:
        filters, widths = [], []
        for stage in range(len(blocks)):
            channels, middle = weights[f"stages.{stage}.0.conv3.weight"].shape[:2]
            width = weights[f"stages.{stage}.0.conv2.weight"].shape[1]
            filters.append(channels)
            # Inner channels over groups is the convolution's width; groups follow from the outer
            # channels.
            widths.append(channels * width // middle)
        first = weights["first_conv.weight"]
        ratio = weights["stages.0.0.conv3.weight"].shape[1] / filters[0]
        return Net1DConfig(
            base_filters=first.shape[0],
            filters=tuple(filters),
            blocks=tuple(blocks[stage] for stage in range(len(blocks))),
            kernel_size=first.shape[2],
            stride=_FOUNDER_STRIDE,
            group_width=widths[0],
            ratio=ratio,
            in_leads=first.shape[1],
        )
    except (
        KeyError,
        IndexError,
        AttributeError,
        TypeError,
        ValueError,
        ZeroDivisionError,
    ) as error:
        raise CheckpointError(
            f"{path}: looks like ECGFounder weights, but its tensors do not make a network "
            f"({error}): copy or download it again"
        ) from error


def _founder_preprocessing(in_leads: int) -> dict[str, Any]:
    """What ECGFounder's authors did to a signal, and warn that its weights need."""
    preprocessing: dict[str, Any] = {
        "sample_rate": 500,
        "seconds": 10.0,
        # 50 Hz notch, 0.67-40 Hz band-pass, minus a 0.4 s median filter.
        "filter": "ecgfounder",
        "units": "uV",
        "normalisation": "zscore",
    }
    if in_leads in (1, len(STANDARD_LEADS)):
        preprocessing["leads"] = list(STANDARD_LEADS[:in_leads])
    return preprocessing


# -- checks


def _checked(path: Path, weights: Mapping[str, Any], config: Net1DConfig) -> dict[str, Tensor]:
    _check_names(str(path), weights, config)
    # Cloned, so that nothing hangs on the memory-mapped file.
    state = {name: value.detach().to(torch.float32, copy=True) for name, value in weights.items()}
    broken = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(
            f"{path}: NaN or Inf in {_some(broken)}: the training diverged; take an earlier "
            "checkpoint"
        )
    return state


def _check_names(source: str, weights: Mapping[str, Any], config: Net1DConfig) -> None:
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in Net1D(config).state_dict().items()}
    missing = [name for name in wanted if name not in weights]
    extra = [name for name in weights if name not in wanted]
    misshapen = [
        f"{name} {tuple(getattr(weights[name], 'shape', ()))} instead of {tuple(shape)}"
        for name, shape in wanted.items()
        if name in weights and getattr(weights[name], "shape", None) != shape
    ]
    complaints = [
        f"{what} {_some(names)}"
        for what, names in (("missing", missing), ("unknown", extra), ("misshapen", misshapen))
        if names
    ]
    if complaints:
        raise CheckpointError(
            f"{source}: its weights do not make a Net1D of {config}: {'; '.join(complaints)}"
        )


def _check_leads(path: Path, weights: EncoderWeights, tower: Tower) -> None:
    leads = weights.config.in_leads
    if (leads == 1) != (tower == "single"):
        needed = "one lead" if tower == "single" else "several leads"
        raise CheckpointError(
            f"{path}: its encoder ({weights.kind}) reads {leads} lead{'s' if leads > 1 else ''}, "
            "and the "
            f"{tower}-lead tower needs weights for {needed}: give the other file, or the other "
            "tower"
        )


def _some(names: Any, limit: int = 10) -> str:
    listed = [str(name) for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return (", ".join(listed[:limit]) or "nothing") + more
