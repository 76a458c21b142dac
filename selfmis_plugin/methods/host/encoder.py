"""An encoder that fairseq-signals' own pre-trainings have left, built by the toolkit."""

from __future__ import annotations

import torch

from selfmis_plugin import toolkit
from selfmis_plugin.checkpoints import CheckpointError
from selfmis_plugin.methods.host.requirement import HOW_TO_GET_SIGNALS
from selfmis_plugin.methods.host.shape import FOR_PRETRAINING_ALONE, HostShape
from selfmis_plugin.nn.encoder import EncoderModule

__all__ = ["HostEncoder"]


class HostEncoder(EncoderModule):
    """An encoder of fairseq-signals' own pre-trainings, its outputs averaged over time.

    Parameters
    ----------
    shape
        Its model's config.

    Raises
    ------
    CheckpointError
        If the host is not fairseq-signals.
    """

    def __init__(self, shape: HostShape) -> None:
        super().__init__(shape)
        if not toolkit.brings_ecg_methods():
            raise CheckpointError(
                f"the model {shape.model['_name']!r} is fairseq-signals', and the host here is "
                f"{toolkit.host_version()}. To get it, {HOW_TO_GET_SIGNALS}"
            )
        # As in the toolkit's own fine-tuning, dropout is for pre-training alone. All layers learn,
        # as those of the other encoders do.
        without = dict.fromkeys(("dropout", "attention_dropout", "dropout_input"), 0.0)
        self.model = toolkit.build_host_model(
            {**shape.model, **without, "all_gather": False, "feature_grad_mult": 1.0}
        )
        for name in FOR_PRETRAINING_ALONE:
            if getattr(self.model, name, None) is not None:
                setattr(self.model, name, None)
        self.embedding_dim = int(shape.model["encoder_embed_dim"])

    def embed(self, prepared: torch.Tensor) -> torch.Tensor:
        """Embed (batch, 12, samples) as (batch, embedding_dim)."""
        features: torch.Tensor = self.model.extract_features(prepared, None)["x"]
        return features.mean(1)
