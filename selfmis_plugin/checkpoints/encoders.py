"""Encoders to use in one's own code: loaded from any file of weights, and saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from selfmis_plugin.checkpoints.contract import Tower
from selfmis_plugin.checkpoints.encoder_weights import load_encoder_weights, save_encoder_weights
from selfmis_plugin.checkpoints.facts import read_facts
from selfmis_plugin.checkpoints.reading import CheckpointError
from selfmis_plugin.checkpoints.weights import fill, filled
from selfmis_plugin.data.preprocessing import Preprocessing, PreprocessingError
from selfmis_plugin.data.provenance import Provenance
from selfmis_plugin.nn.encoder import build_encoder
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig

__all__ = ["Encoder", "load_encoder", "save_encoder"]


class Encoder(Net1D):
    """A :class:`~selfmis_plugin.nn.net1d.Net1D` that knows how its input has to be prepared.

    It reads prepared signals, as ECGFounder's own module does: ``(batch, leads, samples)`` at
    ``preprocessing.sample_rate``, filtered as ``preprocessing.filter`` says, and z-scored over all
    leads and samples of a record.  :class:`selfmis_plugin.nn.inputs.Preparation` does the last.

    Attributes
    ----------
    preprocessing
        How signals were prepared for its weights; None where the file does not say.
    provenance
        The trainings that went into its weights.
    """

    def __init__(self, config: Net1DConfig, preprocessing: Preprocessing | None = None) -> None:
        super().__init__(config)
        self.preprocessing = preprocessing
        self.provenance: Provenance = ()

    @property
    def leads(self) -> tuple[str, ...] | None:
        """Names of the leads that it reads, in their order; None where the file does not say."""
        return None if self.preprocessing is None else self.preprocessing.leads


def load_encoder(path: str | Path, tower: Tower | None = None, view: str | None = None) -> Any:
    """Load an encoder, without running code that the file carries.

    Parameters
    ----------
    path
        ECGFounder's ``1_lead_ECGFounder.pth`` or ``12_lead_ECGFounder.pth``, a training checkpoint
        of any method from either toolkit, or a file of :func:`save_encoder`.
    tower
        Which encoder of a pre-training of two towers, ``"single"`` or ``"multi"``; the single-lead
        one where None.
    view
        Which encoder of a file that has several, by its name: of modally reduced representations,
        a lead's.

    Returns
    -------
    Encoder
        In evaluation mode, float32, on the CPU: ``(batch, leads, samples)`` of prepared signals to
        ``(batch, embedding_dim)``, 1,024 values for ECGFounder's. Of a method whose encoder is no
        Net1D it is that method's module, with ``embedding_dim``, ``config``, ``preprocessing`` and
        ``leads`` as this one has them; ``build_input(encoder.config, encoder.leads, store_rate,
        encoder.preprocessing.sample_rate)`` of :mod:`selfmis_plugin.nn.encoder` prepares raw
        signals for it.

    Raises
    ------
    CheckpointError
        If the file cannot be read, holds no such encoder, or several of which none is named; the
        message names what is missing, unknown or misshapen, or the views that there are.

    Examples
    --------
    >>> encoder = load_encoder("1_lead_ECGFounder.pth")  # doctest: +SKIP
    >>> with torch.no_grad():  # doctest: +SKIP
    ...     embedding = encoder(Preparation(500, 500)(microvolts))
    """
    weights = load_encoder_weights(path, tower, view)
    preprocessing = _preprocessing(path, weights.preprocessing)
    encoder: Any
    if isinstance(weights.config, Net1DConfig):
        encoder = Encoder(weights.config, preprocessing)
    else:
        encoder = filled(
            Path(path),
            lambda: build_encoder(weights.config, weights.in_leads),
            weights.state_dict,
            weights.config,
        )
        encoder.preprocessing = preprocessing
        encoder.leads = weights.leads or None
    if isinstance(weights.config, Net1DConfig):
        fill(encoder, weights.state_dict, Path(path))
    encoder.provenance = read_facts(path).provenance
    return encoder.eval()


def _preprocessing(path: str | Path, described: Mapping[str, Any] | None) -> Preprocessing | None:
    # ECGFounder's files do not name their leads; where these are neither one nor twelve, nobody
    # else can. Of the host's own methods only the sample rate is known.
    if described is None or "leads" not in described:
        return None
    try:
        return Preprocessing.from_dict(described)
    except PreprocessingError as error:
        raise CheckpointError(f"{path}: says wrongly how its input is prepared: {error}") from error


def save_encoder(
    encoder: nn.Module, path: str | Path, preprocessing: Preprocessing | None = None
) -> None:
    """Save an encoder, whole or not at all.

    Parameters
    ----------
    encoder
        The encoder: a Net1D, or one of a shape that is registered
        (:func:`selfmis_plugin.nn.encoder.register_shape`).
    path
        ``.safetensors`` for a file that :func:`load_encoder` reads back with its preprocessing;
        ``.pth`` for one laid out as ECGFounder's, which its authors' code loads too.
    preprocessing
        How signals are prepared for it; that of the encoder where None and it has one.

    Raises
    ------
    ValueError
        If the path ends in neither.
    """
    known: Any = encoder
    if preprocessing is None:
        preprocessing = getattr(encoder, "preprocessing", None)
    # Of an encoder of one's own nobody knows; of one that was loaded, its file said it.
    provenance = getattr(encoder, "provenance", ())
    save_encoder_weights(
        path,
        encoder.state_dict(),
        known.config,
        None if preprocessing is None else preprocessing.to_dict(),
        provenance,
    )
