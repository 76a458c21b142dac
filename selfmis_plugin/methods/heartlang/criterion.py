"""HeartLang's losses: reconstruction of words, and cross-entropy of masked words' codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from selfmis_plugin import toolkit
from selfmis_plugin.methods.heartlang.code_use import code_entropy, codes_in_use
from selfmis_plugin.methods.heartlang.losses import masked_code_loss, reconstruction_losses
from selfmis_plugin.training.contract import RecordTask
from selfmis_plugin.training.split_criterion import SplitCriterion

#: Stands for a word whose code is not looked at.
_NONE = -1


@dataclass
class TokenizerCriterionConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of ``criterion: {_name: heartlang_tokenizer}``."""

    commitment: float = field(
        default=1.0, metadata={"help": "weight of the vectors staying with their codes"}
    )


@toolkit.register_criterion("heartlang_tokenizer", dataclass=TokenizerCriterionConfig)
class TokenizerCriterion(SplitCriterion):
    """Squared error of the words and of their vectors' codes (Jin et al., ICLR 2025, eq. 4).

    A record's loss is the mean over its words: those that are real, unless the model's
    ``loss_on_padding`` says otherwise. Validation reports over the split's real words:
    ``reconstruction_error`` and ``mean_word_error``, the same for predicting the mean word, in
    square millivolts; ``perplexity``, e to the entropy of the codes' shares; and ``used_codes``.
    """

    figure_names = ("reconstruction_error", "mean_word_error", "perplexity", "used_codes")

    def __init__(self, cfg: TokenizerCriterionConfig, task: RecordTask) -> None:
        super().__init__(task)
        self.commitment = cfg.commitment

    @classmethod
    def build_criterion(cls, cfg: TokenizerCriterionConfig, task: RecordTask) -> TokenizerCriterion:
        """Build the criterion from its config."""
        return cls(cfg, task)

    def compute(self, model: Any, sample: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Return the loss summed over the batch's records, and what each record adds."""
        output = model(**sample["net_input"], update=not sample.get("ignored", False))
        words, real = output.sentences.words, output.sentences.real
        error, commitment = reconstruction_losses(
            output.made, words, output.vectors, output.fixed, output.counted
        )
        loss = (error + self.commitment * commitment).sum()
        if self.training:
            return loss, {}
        counted = real[..., None].double()
        missed = (output.made.double() - words.double()).square() * counted
        return loss, {
            "words": counted.sum((1, 2))[:, None],
            "missed": missed.sum((1, 2))[:, None],
            "sums": (words.double() * counted).sum(1),
            "squares": (words.double().square() * counted).sum(1),
            "codes": _padded(output.codes.masked_fill(~real, _NONE), output.longest),
        }

    def figures(self, collected: dict[str, Tensor]) -> dict[str, float]:
        """Return the figures of the split's real words."""
        words = collected["words"].double().sum().clamp(min=1)
        samples = collected["sums"].shape[1]
        means = collected["sums"].double().sum(0) / words
        spread = collected["squares"].double().sum(0) / words - means.square()
        codes = _real(collected["codes"])
        return {
            "reconstruction_error": float(collected["missed"].double().sum() / words / samples),
            "mean_word_error": float(spread.mean()),
            "perplexity": float(code_entropy(codes).exp()),
            "used_codes": float(codes_in_use(codes)),
        }


@dataclass
class MaskedCriterionConfig(toolkit.Dataclass):  # type: ignore[misc, name-defined]
    """Keys of ``criterion: {_name: heartlang}``: there are none."""


@toolkit.register_criterion("heartlang", dataclass=MaskedCriterionConfig)
class MaskedCriterion(SplitCriterion):
    """Cross-entropy of the codes of masked words (Jin et al., ICLR 2025, eq. 5).

    A record's loss is the mean over its masked words. Validation reports over the split's masked
    words that are no padding: ``masked_loss`` and ``masked_accuracy``; ``unigram_loss``, what the
    codes' own shares would reach without looking at anything; and the targets' ``perplexity``.
    """

    figure_names = ("masked_loss", "masked_accuracy", "unigram_loss", "perplexity")

    @classmethod
    def build_criterion(cls, cfg: MaskedCriterionConfig, task: RecordTask) -> MaskedCriterion:
        """Build the criterion from its config."""
        return cls(task)

    def compute(self, model: Any, sample: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Return the loss summed over the batch's records, and what each record adds."""
        output = model(**sample["net_input"], records=sample["id"])
        losses = masked_code_loss(output.logits, output.codes, output.masked)
        lengths = output.masked.sum(1).clamp(min=1)
        loss = (losses.sum(1) / lengths).sum()
        if self.training:
            return loss, {}
        judged = output.masked & output.real
        right = torch.zeros_like(losses)
        right[output.masked] = (output.logits.argmax(1) == output.codes[output.masked]).to(
            right.dtype
        )
        return loss, {
            "words": judged.sum(1, keepdim=True),
            "losses": (losses * judged).sum(1, keepdim=True),
            "right": (right * judged).sum(1, keepdim=True),
            "codes": _padded(output.codes.masked_fill(~judged, _NONE), output.longest),
        }

    def figures(self, collected: dict[str, Tensor]) -> dict[str, float]:
        """Return the figures of the split's masked words."""
        words = collected["words"].double().sum().clamp(min=1)
        entropy = code_entropy(_real(collected["codes"]))
        return {
            "masked_loss": float(collected["losses"].double().sum() / words),
            "masked_accuracy": float(collected["right"].double().sum() / words),
            "unigram_loss": float(entropy),
            "perplexity": float(entropy.exp()),
        }


def _padded(codes: Tensor, longest: int) -> Tensor:
    """Return codes of every batch in one width."""
    return F.pad(codes, (0, longest - codes.shape[1]), value=_NONE)


def _real(codes: Tensor) -> Tensor:
    codes = codes.long().flatten()
    return codes[codes != _NONE]
