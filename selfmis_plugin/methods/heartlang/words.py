"""Sentences of words: heartbeats cut out of a signal, in the order of its leads.

Jin et al., ICLR 2025, section 3.1: the QRS-Tokenizer, for a whole batch at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from selfmis_plugin.data.leads import STANDARD_LEADS, standard_lead
from selfmis_plugin.methods.heartlang.shape import RATE

__all__ = ["NUMBERS", "Sentences", "cut_sentences", "lead_numbers"]

#: Rows of the tables of leads and of times.
NUMBERS = 16


class Sentences(NamedTuple):
    """Sentences of a batch.

    Attributes
    ----------
    words
        ``(batch, words, samples of a word)``, zero where a sentence has ended.
    leads
        int64 ``(batch, words)``: 1 to 12 in the standard order, 0 for padding.
    times
        int64 ``(batch, words)``: the second of the R peak from 1 on, 0 for padding.
    """

    words: Tensor
    leads: Tensor
    times: Tensor

    @property
    def real(self) -> Tensor:
        """Which words are of the sentence and not padding, bool ``(batch, words)``."""
        return self.leads > 0

    def packed(self) -> Tensor:
        """Return all in one tensor ``(batch, words, samples + 2)``, as encoders read it.

        The numbers of leads and times are small: half precision holds them too.
        """
        numbers = torch.stack([self.leads, self.times], dim=-1).to(self.words.dtype)
        return torch.cat([self.words, numbers], dim=-1)

    @classmethod
    def of(cls, packed: Tensor) -> Sentences:
        """Return what :meth:`packed` has put together."""
        numbers = packed[..., -2:].long()
        return cls(packed[..., :-2], numbers[..., 0], numbers[..., 1])


def lead_numbers(leads: Sequence[str]) -> list[int]:
    """Return the number of each lead: its place in the standard order, from 1 on.

    A channel of another name is numbered as lead I where it is alone, as a wearable's is.

    Raises
    ------
    ValueError
        If one of several leads is no standard one.
    """
    known = [standard_lead(name) for name in leads]
    if known == [None]:
        return [1]
    if None in known:
        raise ValueError(
            f"HeartLang knows leads by their names, and {leads[known.index(None)]} is none of "
            f"{', '.join(STANDARD_LEADS)}: leave it out with task.leads"
        )
    return [STANDARD_LEADS.index(str(name)) + 1 for name in known]


def cut_sentences(
    signals: Tensor, peaks: Tensor, leads: Sequence[int], most: int, size: int, fill: bool
) -> Sentences:
    """Cut the beats out of signals: all of the first lead, then all of the second, and so on.

    A word reaches from the middle between its R peak and the one before to the middle between it
    and the next; the first and the last one reach half a word beyond their peak, or to the end of
    the record. One that would be longer than a word is half a word before its peak and as much
    after it. The peak stands in the middle of the word, zeros where the beat does not reach; a
    beat of more than half a word before its peak begins with the word. What is left over at the
    end of a word is dropped.

    Parameters
    ----------
    signals
        At 100 Hz, float ``(batch, leads, samples)``.
    peaks
        Samples of the R peaks at 100 Hz, any integer type ``(batch, most beats)``, rising, and
        then -1 to the end.
    leads
        Numbers of the leads.
    most
        Words of the longest sentence; what comes after them is left out.
    size
        Samples of a word.
    fill
        Whether all sentences are of *most* words; otherwise of as many as the longest one here.

    Raises
    ------
    ValueError
        If records are longer than times can be numbered.
    """
    batch, count, samples = signals.shape
    if samples > (NUMBERS - 1) * RATE:
        raise ValueError(
            f"records of {samples / RATE:g} s are too long for HeartLang, which numbers "
            f"{NUMBERS - 1} seconds: prepare a store of shorter records (10 s)"
        )
    peaks = peaks.long()
    beats = (peaks >= 0).sum(1, keepdim=True)
    total = (beats * count).clamp(max=most)
    length = most if fill else max(1, int(total.max()))
    place = torch.arange(length, device=signals.device).expand(batch, -1)
    real = place < total
    lead = torch.where(real, place // beats.clamp(min=1), 0)
    beat = torch.where(real, place % beats.clamp(min=1), 0)
    peak = peaks.gather(1, beat)
    start, stop = _bounds(peaks, beat, beats, peak, samples, size)
    half = size // 2
    before = peak - start
    offset = torch.where(before <= half, half - before, 0)
    inner = torch.arange(size, device=signals.device)
    source = (start - offset)[..., None] + inner
    inside = (inner >= offset[..., None]) & (source < stop[..., None]) & real[..., None]
    index = lead[..., None] * samples + source.clamp(0, samples - 1)
    words = signals.flatten(1).gather(1, index.flatten(1)).view(batch, length, size)
    numbers = torch.tensor(leads, device=signals.device)[lead]
    times = torch.div(peak, int(RATE), rounding_mode="floor") + 1
    return Sentences(words * inside, numbers * real, times * real)


def _bounds(
    peaks: Tensor, beat: Tensor, beats: Tensor, peak: Tensor, samples: int, size: int
) -> tuple[Tensor, Tensor]:
    """Return where the beats begin and end, int64 ``(batch, words)`` each."""
    half = size // 2
    previous = peaks.gather(1, (beat - 1).clamp(min=0))
    following = peaks.gather(1, (beat + 1).clamp(max=peaks.shape[1] - 1))
    early = (peak - half).clamp(min=0)
    start = torch.where(beat == 0, early, (previous + peak) // 2)
    late = (peak + half).clamp(max=samples)
    stop = torch.where(beat == beats - 1, late, (peak + following) // 2)
    long = stop - start > size
    start = torch.where(long, early, start)
    return start, torch.where(long, (start + size).clamp(max=samples), stop)
