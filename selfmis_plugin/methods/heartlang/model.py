"""HeartLang's two models: the tokenizer of words, and the language model over its codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from selfmis_plugin import toolkit
from selfmis_plugin.methods.heartlang.keys import HeartLangModelConfig, TokenizerModelConfig
from selfmis_plugin.methods.heartlang.masks import word_masks
from selfmis_plugin.methods.heartlang.network import MaskedSentences, WordInput
from selfmis_plugin.methods.heartlang.shape import HeartLangConfig, TokenizerConfig
from selfmis_plugin.methods.heartlang.tokenizer import HeartbeatTokenizer, Reconstruction
from selfmis_plugin.methods.heartlang.tokenizer_file import tokenizer_for
from selfmis_plugin.methods.heartlang.words import Sentences
from selfmis_plugin.nn.encoder import in_precision
from selfmis_plugin.training.contract import RecordTask
from selfmis_plugin.training.precision import own_precision


class _SentenceModel(toolkit.BaseModel):  # type: ignore[misc, name-defined]
    """What both have: an input that cuts words, and a precision."""

    input: WordInput
    precision: torch.dtype | None

    def max_positions(self) -> None:
        """Records of up to fifteen seconds can be read."""
        return None


@toolkit.register_model("heartlang_tokenizer", dataclass=TokenizerModelConfig)
class HeartLangTokenizerModel(_SentenceModel):
    """Words to codes and back (VQ-HBR).

    Parameters
    ----------
    network
        Encoder, codebook and decoder.
    prepare
        From raw signals to sentences.
    on_padding
        Whether padding is learnt from.
    precision
        Type to compute in; None leaves it to the host.
    """

    def __init__(
        self,
        network: HeartbeatTokenizer,
        prepare: WordInput,
        on_padding: bool = False,
        precision: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.input = prepare
        self.on_padding = on_padding
        self.precision = precision

    @classmethod
    def build_model(cls, cfg: TokenizerModelConfig, task: RecordTask) -> HeartLangTokenizerModel:
        """Build the tokenizer for a task's data.

        Raises
        ------
        ValueError
            If the data, or the keys, do not fit together.
        """
        config = TokenizerConfig.from_mapping(cfg)  # type: ignore[arg-type]
        _check_padding(cfg)
        network = HeartbeatTokenizer(config, cfg.codebook_shared, task.cfg.seed)
        prepare = _input_of(config.encoder, task)
        return cls(network, prepare, cfg.loss_on_padding, own_precision(cfg.precision))

    def forward(
        self, signal: Tensor, peaks: Tensor | None = None, update: bool = False
    ) -> Reconstruction:
        """Cut, quantise and make the words again.

        Parameters
        ----------
        signal
            Microvolts, ``(batch, leads, samples)``.
        peaks
            Beats of the records; None: they are found.
        update
            Whether the codebook may learn from this batch, which it does in training alone.
        """
        sentences = self.input.sentences(signal, peaks)
        with in_precision(self.precision, signal.device):
            made: Reconstruction = self.network(sentences, self.on_padding, update)
        return made


@dataclass(frozen=True)
class MaskedOutput:
    """Guesses at masked words.

    Attributes
    ----------
    logits
        ``(masked words, codes)``.
    codes
        The words' codes, int64 ``(batch, words)``.
    masked, real
        Which words are masked, and which no padding, bool ``(batch, words)``.
    longest
        Words of the longest sentence there can be.
    """

    logits: Tensor
    codes: Tensor
    masked: Tensor
    real: Tensor
    longest: int


@toolkit.register_model("heartlang", dataclass=HeartLangModelConfig)
class HeartLangModel(_SentenceModel):
    """Masked words of sentences, whose codes are to be guessed (ST-ECGFormer).

    Parameters
    ----------
    network
        What guesses.
    tokenizer
        What makes the targets; it is frozen.
    prepare
        From raw signals to sentences.
    cfg
        The other keys.
    seed
        Seed of the masks.
    """

    def __init__(
        self,
        network: MaskedSentences,
        tokenizer: HeartbeatTokenizer,
        prepare: WordInput,
        cfg: HeartLangModelConfig,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = tokenizer.requires_grad_(False).eval()
        self.input = prepare
        self.precision = own_precision(cfg.precision)
        self.cfg = cfg
        self.seed = seed
        self._draw = 0

    @classmethod
    def check_start(cls, cfg: HeartLangModelConfig) -> None:
        """Refuse targets of a tokenizer of random weights."""
        if not cfg.tokenizer_checkpoint:
            raise ValueError(
                "the masked words have no codes: give the tokenizer that makes them, "
                "model.tokenizer_checkpoint=FILE, a checkpoint of heartlang_tokenizer"
            )

    @classmethod
    def build_model(cls, cfg: HeartLangModelConfig, task: RecordTask) -> HeartLangModel:
        """Build the model for a task's data, with the tokenizer that *cfg* names.

        Without one it is one of random weights, in the published proportions: training refuses it
        (:meth:`check_start`), and what a step takes can be counted.

        Raises
        ------
        ValueError
            If the data, the tokenizer or the keys do not fit together.
        """
        config = HeartLangConfig.from_mapping(cfg)  # type: ignore[arg-type]
        _check_padding(cfg)
        if not 0 < cfg.mask_ratio <= 1:
            raise ValueError(f"model.mask_ratio={cfg.mask_ratio} must be above 0 and at most 1")
        tokenizer = tokenizer_for(config, cfg.tokenizer_checkpoint, task.preprocessing)
        network = MaskedSentences(config, tokenizer.config.codes, cfg.mask_before_convolution)
        return cls(network, tokenizer, _input_of(config, task), cfg, task.cfg.seed)

    def train(self, mode: bool = True) -> HeartLangModel:
        """Switch the mode, but of the tokenizer, whose codes are to stay what they are."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def set_num_updates(self, num_updates: int) -> None:
        """Draw new masks for the next update; a resumed run draws those that it would have had."""
        super().set_num_updates(num_updates)
        self._draw = num_updates + 1

    def forward(
        self, signal: Tensor, records: Tensor | None = None, peaks: Tensor | None = None
    ) -> MaskedOutput:
        """Cut and mask the words, and guess their codes.

        In training each update has masks of its own, in evaluation a record always has the same.

        Parameters
        ----------
        signal
            Microvolts, ``(batch, leads, samples)``.
        records
            Numbers of the records, int64 ``(batch,)``: masks are drawn for them. None: from 0 on.
        peaks
            Beats of the records; None: they are found.
        """
        config = self.network.encoder.config
        numbers = range(len(signal)) if records is None else records.tolist()
        fill = config.attend_padding or self.tokenizer.config.encoder.attend_padding
        sentences = self.input.sentences(signal, peaks, fill)
        with in_precision(self.precision, signal.device):
            masked = word_masks(
                sentences.real,
                numbers,
                config.words,
                self.cfg.mask_ratio,
                self.seed,
                self._draw if self.training else 0,
                self.cfg.loss_on_padding,
            )
            codes = self._codes(sentences)
            logits = self.network(sentences, masked)
        return MaskedOutput(logits, codes, masked, sentences.real, config.words)

    @torch.no_grad()
    def _codes(self, sentences: Sentences) -> Tensor:
        return self.tokenizer.codes(sentences, self.cfg.tokenizer_indices)

    @property
    def embedding_dim(self) -> int:
        """Size of an embedding."""
        return self.network.encoder.embedding_dim


def _input_of(config: HeartLangConfig, task: RecordTask) -> WordInput:
    preprocessing = task.preprocessing
    store_rate = task.store.info.sample_rate
    return WordInput(config, preprocessing.leads, store_rate, preprocessing.sample_rate)


def _check_padding(cfg: Any) -> None:
    if cfg.loss_on_padding and not cfg.attend_padding:
        raise ValueError(
            "model.loss_on_padding=true learns padding that is not computed: set "
            "model.attend_padding=true too, as the authors do, or model.loss_on_padding=false"
        )
