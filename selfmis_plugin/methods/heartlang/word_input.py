"""From raw signals of a store to sentences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from selfmis_plugin.methods.heartlang.beat_times import beat_lead, finds_at, most_beats, peaks_of
from selfmis_plugin.methods.heartlang.shape import RATE, HeartLangConfig
from selfmis_plugin.methods.heartlang.words import Sentences, cut_sentences, lead_numbers
from selfmis_plugin.nn.encoder import build_input
from selfmis_plugin.nn.inputs import Preparation, resampled_samples

__all__ = ["WordInput"]


class WordInput(nn.Module):
    """Raw signals to packed sentences: millivolts at 100 Hz, not normalised.

    Beats are found on lead I, or the first of the leads where it is not among them, on the CPU.

    Parameters
    ----------
    config
        Shape of the network that reads the sentences.
    leads
        Leads of the raw signals, in their order.
    store_rate
        Their sample rate, in hertz.
    sample_rate
        100: no other is known.

    Raises
    ------
    ValueError
        If the rate is another, is above the store's, or a lead is no standard one.

    Examples
    --------
    >>> import torch
    >>> raw = torch.randint(-500, 500, (2, 12, 5000), dtype=torch.int16)
    >>> prepare = WordInput(HeartLangConfig(), ["I"], store_rate=500, sample_rate=100)
    >>> prepare(raw[:, :1], peaks=torch.tensor([[90, 170, -1], [50, -1, -1]])).shape
    torch.Size([2, 2, 98])
    """

    #: What it does to amplitudes, in words, for a model's card.
    first_step = f"to cut heartbeats out of millivolts at {RATE:g} Hz, which are not normalised"

    #: Why it is no part of a graph, for who would trace it.
    not_traceable = (
        "HeartLang's words begin and end by the heartbeats, which are found on the CPU by a "
        "detector that is no network"
    )

    def __init__(
        self, config: HeartLangConfig, leads: Sequence[str], store_rate: float, sample_rate: float
    ) -> None:
        super().__init__()
        if sample_rate != RATE:
            raise ValueError(
                f"HeartLang's words are cut at {RATE:g} Hz, not at {sample_rate:g}: "
                f"task.sample_rate={RATE:g}"
            )
        self.config = config
        self.leads = tuple(leads)
        self.numbers = lead_numbers(leads)
        self.beat_row = beat_lead(leads)
        self.preparation = Preparation(store_rate, sample_rate)
        #: Rate at which beats are found, in hertz.
        self.beat_rate = finds_at(config.beats_at, store_rate)

    def forward(self, signal: Tensor, peaks: Tensor | None = None) -> Tensor:
        """Return packed sentences ``(batch, words, samples of a word + 2)``, float32.

        Parameters
        ----------
        signal
            Raw microvolts, ``(batch, leads, samples)``.
        peaks
            What :meth:`find` gave for these records; None: it is found.
        """
        return self.sentences(signal, peaks).packed()

    def sentences(
        self, signal: Tensor, peaks: Tensor | None = None, fill: bool | None = None
    ) -> Sentences:
        """Return sentences; *fill* as in :func:`cut_sentences`, by default as the shape says."""
        if peaks is None:
            peaks = self.find(signal[:, self.beat_row])
        with torch.autocast(signal.device.type, enabled=False):
            millivolts = self.preparation.decimate(signal.float()) / 1000
            return cut_sentences(
                millivolts,
                peaks.to(signal.device),
                self.numbers,
                self.config.words,
                self.config.word_samples,
                self.config.attend_padding if fill is None else fill,
            )

    @torch.no_grad()
    def find(self, channel: Tensor) -> Tensor:
        """Return the beats of the channel that has them, raw microvolts ``(batch, samples)``.

        Returns
        -------
        Tensor
            Samples at 100 Hz, int16 ``(batch, most beats)``, on the CPU; -1 after the last beat.
        """
        rate = self.preparation.store_rate
        samples = resampled_samples(channel.shape[-1], rate, RATE)
        if self.beat_rate != rate:
            channel = self.preparation.decimate(channel.cpu().float()[:, None])[:, 0]
        found = peaks_of(
            channel.cpu().double().numpy(), self.beat_rate, most_beats(samples / RATE), samples
        )
        return torch.from_numpy(found)


@build_input.register
def _(
    config: HeartLangConfig, leads: Sequence[str], store_rate: float, sample_rate: float
) -> WordInput:
    return WordInput(config, leads, store_rate, sample_rate)
