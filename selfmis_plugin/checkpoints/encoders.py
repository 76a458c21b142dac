"""Encoders to use in one's own code: loaded from any file of weights, and saved."""

from __future__ import annotations

from pathlib import Path

from selfmis_plugin.checkpoints import (
    CheckpointError,
    Tower,
    load_encoder_weights,
    save_encoder_weights,
)
from selfmis_plugin.data.preprocessing import Preprocessing, PreprocessingError
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
    """

    def __init__(self, config: Net1DConfig, preprocessing: Preprocessing | None = None) -> None:
        super().__init__(config)
        self.preprocessing = preprocessing


def load_encoder(path: str | Path, tower: Tower | None = None) -> Encoder:
    """Load an encoder, without running code that the file carries.

    Parameters
    ----------
    path
        ECGFounder's ``1_lead_ECGFounder.pth`` or ``12_lead_ECGFounder.pth``, a training checkpoint
        of this plugin from either toolkit, or a file of :func:`save_encoder`.
    tower
        Which encoder of a pre-training checkpoint, ``"single"`` or ``"multi"``; the single-lead
        one where None.

    Returns
    -------
    Encoder
        In evaluation mode, float32, on the CPU: ``(batch, leads, samples)`` of prepared signals to
        ``(batch, embedding_dim)``, 1,024 values for ECGFounder's.

    Raises
    ------
    CheckpointError
        If the file cannot be read or holds no such encoder; the message names what is missing,
        unknown or misshapen.

    Examples
    --------
    >>> encoder = load_encoder("1_lead_ECGFounder.pth")  # doctest: +SKIP
    >>> with torch.no_grad():  # doctest: +SKIP
    ...     embedding = encoder(Preparation(500, 500)(microvolts))
    """
    weights = load_encoder_weights(path, tower)
    preprocessing = None
    # ECGFounder's files do not name their leads; where these are neither one nor twelve, nobody
    # else can.
    if weights.preprocessing is not None and "leads" in weights.preprocessing:
        try:
            preprocessing = Preprocessing.from_dict(weights.preprocessing)
        except PreprocessingError as error:
            raise CheckpointError(
                f"{path}: says wrongly how its input is prepared: {error}"
            ) from error
    encoder = Encoder(weights.config, preprocessing)
    encoder.load_state_dict(weights.state_dict)
    return encoder.eval()


def save_encoder(
    encoder: Net1D, path: str | Path, preprocessing: Preprocessing | None = None
) -> None:
    """Save an encoder, whole or not at all.

    Parameters
    ----------
    encoder
        The encoder.
    path
        ``.safetensors`` for a file that :func:`load_encoder` reads back with its preprocessing;
        ``.pth`` for one laid out as ECGFounder's, which its authors' code loads too.
    preprocessing
        How signals are prepared for it; that of an :class:`Encoder` where None.

    Raises
    ------
    ValueError
        If the path ends in neither.
    """
    if preprocessing is None and isinstance(encoder, Encoder):
        preprocessing = encoder.preprocessing
    save_encoder_weights(
        path,
        encoder.state_dict(),
        encoder.config,
        None if preprocessing is None else preprocessing.to_dict(),
    )
