"""An encoder that embeds a record in pieces (McKeen et al., arXiv 2408.05178)."""

from __future__ import annotations

from torch import Tensor, nn

from selfmis_plugin.methods.ecg_fm.shape import ECGFMShape
from selfmis_plugin.methods.host.network import HostShape
from selfmis_plugin.nn.encoder import EncoderModule, build_encoder

__all__ = ["ECGFMShape", "PiecesEncoder"]


class PiecesEncoder(EncoderModule):
    """The mean of an encoder's embeddings of a record's pieces.

    The authors cut a record into pieces of five seconds that do not overlap, leave out what is
    left at the end, embed each by itself and average what a classifier says of each. Under a
    linear head the mean of the pieces' logits is the logit of their mean embedding.

    Parameters
    ----------
    shape
        Which encoder, and how long a piece is.
    piece
        The encoder of a piece; of the host's by default.

    Raises
    ------
    CheckpointError
        If the host does not bring the encoder.
    """

    def __init__(self, shape: ECGFMShape, piece: nn.Module | None = None) -> None:
        super().__init__(shape)
        if piece is None:
            piece = build_encoder(HostShape(shape.model, "zscore", shape.sample_rate), 12)
        self.piece = piece
        self.embedding_dim = int(shape.model["encoder_embed_dim"])
        self.samples = shape.samples

    def embed(self, prepared: Tensor) -> Tensor:
        """Embed (batch, 12, samples) as (batch, embedding_dim).

        Raises
        ------
        ValueError
            If a record is shorter than a piece.
        """
        pieces = prepared.shape[-1] // self.samples
        if not pieces:
            raise ValueError(
                f"a record of {prepared.shape[-1]} samples is shorter than the {self.samples} that "
                "this encoder reads: prepare longer ones"
            )
        cut = prepared[..., : pieces * self.samples].unflatten(-1, (pieces, self.samples))
        embedded: Tensor = self.piece(cut.transpose(1, 2).flatten(0, 1))
        return embedded.unflatten(0, (-1, pieces)).mean(1)


@build_encoder.register
def _(shape: ECGFMShape, in_leads: int) -> nn.Module:
    return PiecesEncoder(shape)
