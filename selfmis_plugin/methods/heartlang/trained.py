"""What HeartLang's trainings have left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from selfmis_plugin.checkpoints.classifier import LoadedEncoder
from selfmis_plugin.checkpoints.contract import Wanted, one_view
from selfmis_plugin.checkpoints.reading import CheckpointError
from selfmis_plugin.checkpoints.weights import EncoderWeights, check_fit, filled, finite
from selfmis_plugin.data.leads import standard_lead
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.methods.heartlang.shape import TokenizerConfig
from selfmis_plugin.methods.heartlang.tokenizer import HeartbeatTokenizer

__all__ = ["LoadedSentences", "LoadedTokenizer"]


@dataclass(frozen=True)
class LoadedSentences(LoadedEncoder):
    """The encoder of a language model over sentences, which reads any of the leads it knows."""

    def encoder(self, wanted: Wanted) -> EncoderWeights:
        """Return the encoder for the leads that are wanted.

        Raises
        ------
        CheckpointError
            If one of several leads was not among those of its training.
        """
        one_view(self.path, self.encoder_views, wanted)
        leads = wanted.leads or self.preprocessing.leads
        # A channel alone that is no standard lead, such as a wearable's, is lead I's stand-in.
        strange = [lead for lead in leads if lead not in self.preprocessing.leads]
        if strange and not (len(leads) == 1 and not standard_lead(leads[0])):
            raise CheckpointError(
                f"{self.path} has not been trained on lead {', '.join(strange)}: it knows "
                f"{', '.join(self.preprocessing.leads)}"
            )
        preprocessing = replace(self.preprocessing, leads=tuple(leads))
        return EncoderWeights(self.config, self.weights, preprocessing.to_dict(), self.kind)


@dataclass(frozen=True)
class LoadedTokenizer:
    """A tokenizer: its shape, the preprocessing, and the weights.

    Attributes
    ----------
    validation
        What its training measured last, by name.
    """

    kind: ClassVar[str] = "heartlang_tokenizer"
    path: Path
    config: TokenizerConfig
    preprocessing: Preprocessing
    weights: dict[str, Tensor]
    validation: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse weights that are not those of the network, or are not finite."""
        check_fit(self.path, self._build, self.weights, self.config)
        finite(self.path, self.weights)

    @property
    def required_leads(self) -> tuple[str, ...]:
        """Leads that a record must have."""
        return self.preprocessing.leads

    def network(self) -> HeartbeatTokenizer:
        """Return the tokenizer, float32, in evaluation mode."""
        network: HeartbeatTokenizer = filled(self.path, self._build, self.weights, self.config)
        return network

    def _build(self) -> Any:
        return HeartbeatTokenizer(self.config)
