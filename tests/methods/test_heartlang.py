"""HeartLang's parts: words, codes, masks and losses against NumPy; what hangs on what."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.methods.heartlang.code_use import code_entropy, codes_in_use
from selfmis_plugin.methods.heartlang.codebook import Codebook, nearest_codes, start_codes
from selfmis_plugin.methods.heartlang.losses import masked_code_loss, reconstruction_losses
from selfmis_plugin.methods.heartlang.masks import word_masks
from selfmis_plugin.methods.heartlang.network import HeartLangEncoder, MaskedSentences
from selfmis_plugin.methods.heartlang.shape import HeartLangConfig, TokenizerConfig
from selfmis_plugin.methods.heartlang.tokenizer import HeartbeatTokenizer
from selfmis_plugin.methods.heartlang.word_input import WordInput
from selfmis_plugin.methods.heartlang.words import Sentences, cut_sentences, lead_numbers
from selfmis_plugin.nn.encoder import describe_shape, shape_from
from tests.heartlang_plain import plain_sentence, plain_update
from tests.processes import run_processes

SMALL = HeartLangConfig(
    words=32, width=16, depth=2, heads=2, head_width=8, hidden=32, dropout=0.0, deviation=0.1
)
FILLED = HeartLangConfig(**{**vars(SMALL), "attend_padding": True})


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=-1)


def sentences(lengths: list[int], seed: int = 0, words: int | None = None) -> Sentences:
    """Sentences of drawn words, padded to the longest or to *words*."""
    generator = torch.Generator().manual_seed(seed)
    longest = words or max(1, *lengths)
    place = torch.arange(longest)
    real = place < torch.tensor(lengths)[:, None]
    drawn = torch.randn(len(lengths), longest, 96, generator=generator) * real[..., None]
    return Sentences(drawn, (1 + place % 12) * real, (1 + place % 10) * real)


# -- words ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    records=st.lists(
        st.lists(st.integers(0, 399), max_size=12, unique=True).map(sorted), min_size=1, max_size=4
    ),
    leads=st.lists(st.sampled_from(STANDARD_LEADS), min_size=1, max_size=4, unique=True),
    most=st.integers(1, 40),
    fill=st.booleans(),
)
def test_words_are_those_of_a_plain_loop(
    records: list[list[int]], leads: list[str], most: int, fill: bool
) -> None:
    signals = np.random.default_rng(0).normal(size=(len(records), len(leads), 400))
    peaks = np.full((len(records), 13), -1, dtype=np.int16)
    for row, beats in zip(peaks, records, strict=True):
        row[: len(beats)] = beats
    numbers = lead_numbers(leads)
    found = cut_sentences(
        torch.from_numpy(signals), torch.from_numpy(peaks), numbers, most, 96, fill
    )
    longest = max(min(most, len(beats) * len(leads)) for beats in records)
    assert found.words.shape[1] == (most if fill else max(1, longest))
    for k, beats in enumerate(records):
        expected = plain_sentence(signals[k], beats, numbers, most)
        for ours, plain in zip(found, expected, strict=True):
            length = ours.shape[1]
            np.testing.assert_array_equal(ours[k].numpy(), plain[:length])
            assert not plain[length:].any()


def test_the_input_finds_the_beats_of_lead_one_for_all_leads() -> None:
    time = np.arange(5000) / 500
    beats = np.arange(0.5, 9.9, 0.8)
    wave = 900 * np.exp(-0.5 * ((time[:, None] - beats) / 0.012) ** 2).sum(1)
    raw = torch.from_numpy(np.stack([wave * 0.1, wave, -wave]).round().astype(np.int16))[None]
    prepare = WordInput(SMALL, ["V1", "I", "V6"], 500, 100)
    peaks = prepare.find(raw[:, 1])
    np.testing.assert_array_equal(peaks[0, : len(beats)], np.round(100 * beats))
    assert peaks.dtype == torch.int16 and bool((peaks[0, len(beats) :] == -1).all())
    made = prepare.sentences(raw)
    assert made.leads[0, :: len(beats)].tolist() == [7, 1, 12]
    assert made.times[0, : len(beats)].tolist() == [int(beat) + 1 for beat in beats]
    # In millivolts, the peak in the middle.
    highest = made.words[0, : len(beats)]
    assert bool((highest.argmax(1) == 48).all()) and highest.max() == pytest.approx(0.09, rel=0.05)
    torch.testing.assert_close(Sentences.of(prepare(raw))[0], made.words)
    torch.testing.assert_close(prepare(raw, peaks), prepare(raw))


def test_what_is_no_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task\.sample_rate=100"):
        WordInput(SMALL, ["I"], 500, 250)
    with pytest.raises(ValueError, match="Band is none of"):
        WordInput(SMALL, ["I", "Band"], 500, 100)
    assert lead_numbers(["Band"]) == [1]
    with pytest.raises(ValueError, match="too long for HeartLang"):
        WordInput(SMALL, ["I"], 500, 100)(torch.zeros(1, 1, 10_000))
    for key, value in (("width", 0), ("dropout", 1.0), ("beats_at", "250")):
        with pytest.raises(ValueError, match=key):
            HeartLangConfig(**{key: value})
    assert shape_from(describe_shape(FILLED)) == FILLED


# -- codes ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), count=st.integers(0, 40), decay=st.sampled_from([0.5, 0.99, 1.0]))
def test_the_codes_follow_their_vectors(seed: int, count: int, decay: float) -> None:
    codebook = Codebook(7, 3, decay).train()
    codebook.weight.copy_(unit(7, 3, seed=seed))
    codebook.started.fill_(True)
    before = codebook.weight.double().numpy()
    vectors = unit(4, 10, 3, seed=seed + 100).float()
    counted = torch.arange(40).view(4, 10) < count
    found = codebook(vectors, counted, update=True)
    rows = vectors.flatten(0, 1).double().numpy()
    numbers, _ = plain_update(before, rows, decay)
    np.testing.assert_array_equal(found.numbers.flatten(), numbers)
    np.testing.assert_allclose(found.fixed.flatten(0, 1), before[numbers], atol=1e-6)
    _, moved = plain_update(before, rows[:count], decay) if count else (None, before)
    np.testing.assert_allclose(codebook.weight, moved, atol=1e-6)


def test_a_code_passes_the_gradient_on() -> None:
    codebook = Codebook(5, 3).train()
    vectors = unit(6, 3).float().requires_grad_()
    weight = torch.randn(6, 3)
    found = codebook(vectors, update=True)
    torch.testing.assert_close(found.vectors, found.fixed)
    (found.vectors * weight).sum().backward()
    torch.testing.assert_close(vectors.grad, weight)


def test_nothing_changes_where_nothing_may_be_learnt() -> None:
    codebook = Codebook(5, 3).train()
    codebook(unit(20, 3), update=True)
    assert bool(codebook.started)
    before = copy.deepcopy(codebook.state_dict())
    codebook(unit(20, 3, seed=1), update=False)
    codebook(unit(20, 3, seed=1), torch.zeros(20, dtype=torch.bool), update=True)
    codebook.eval()
    codebook(unit(20, 3, seed=1), update=True)
    assert all(torch.equal(value, before[name]) for name, value in codebook.state_dict().items())


def test_codes_start_where_the_vectors_are() -> None:
    centres = unit(6, 8)
    near = torch.nn.functional.normalize(centres.repeat(30, 1) + 0.02 * unit(180, 8, seed=2), dim=1)
    codes = start_codes(near, 40, seed=1)
    assert float((codes @ centres.T).amax(1).min()) > 0.99
    # Fewer vectors than codes: each code is one of them.
    few = start_codes(near[:3], 40, seed=1)
    assert float((few @ near[:3].T).amax(1).min()) == pytest.approx(1)
    assert nearest_codes(near[:0], codes).shape == (0,)


def test_codes_stay_float32_and_go_with_the_module() -> None:
    tokenizer = HeartbeatTokenizer(TokenizerConfig(SMALL, 1, codes=9, code_size=4)).half()
    assert tokenizer.to_code[0].weight.dtype == torch.float16
    book = tokenizer.codebook
    assert book.weight.dtype == book.usage.dtype == torch.float32
    before = book.weight.clone()
    assert torch.equal(tokenizer.bfloat16().codebook.weight, before)
    assert tokenizer.to("meta").codebook.weight.is_meta


def _learn_in_process(rank: int, shared: bool) -> dict[str, torch.Tensor]:
    torch.manual_seed(rank)
    codebook = Codebook(6, 4, 0.9, shared).train()
    vectors = unit(2, 30, 4, seed=5)[rank].float()
    # The second process has nothing to teach in the second update, as on a host's dummy batch.
    for update in range(3):
        counted = torch.full((30,), not (rank == 1 and update == 1))
        codebook(vectors, counted, update=True)
    return codebook.state_dict()


@pytest.mark.slow
def test_two_processes_share_one_codebook(tmp_path: Path) -> None:
    first, second = run_processes(_learn_in_process, 2, tmp_path, True)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    # One process with the vectors of both does the same, from the first one's start.
    torch.manual_seed(0)
    whole = Codebook(6, 4, 0.9).train()
    vectors = unit(2, 30, 4, seed=5).float()
    whole.weight.copy_(start_codes(vectors[0], 6, 1))
    whole.started.fill_(True)
    for counted in ((True, True), (True, False), (True, True)):
        whole(vectors, torch.tensor(counted)[:, None].expand(2, 30), update=True)
    torch.testing.assert_close(first["weight"], whole.weight)
    torch.testing.assert_close(first["usage"], whole.usage)


@pytest.mark.slow
def test_codebooks_of_their_own_differ(tmp_path: Path) -> None:
    first, second = run_processes(_learn_in_process, 2, tmp_path, False)
    assert not torch.allclose(first["weight"], second["weight"])


def test_perplexity_of_shares() -> None:
    assert float(code_entropy(torch.tensor([3, 3, 8, 8])).exp()) == pytest.approx(2)
    shares = np.array([0.5, 0.25, 0.25])
    found = code_entropy(torch.tensor([0, 0, 5, 7]))
    assert float(found) == pytest.approx(-(shares * np.log(shares)).sum())
    nothing = torch.zeros(0, dtype=torch.int64)
    assert float(code_entropy(nothing)) == 0 == codes_in_use(nothing)


# -- losses and masks ----------------------------------------------------------------------------


def test_losses_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    made, words = rng.normal(size=(2, 3, 5, 96))
    vectors, codes = rng.normal(size=(2, 3, 5, 4))
    counted = np.array([[1, 1, 0, 0, 0], [1] * 5, [0] * 5], dtype=bool)
    found = reconstruction_losses(
        *map(torch.from_numpy, (made, words, vectors, codes)), torch.from_numpy(counted)
    )
    for ours, difference in zip(found, (made - words, vectors - codes), strict=True):
        plain = [
            (row[kept] ** 2).mean() if kept.any() else 0
            for row, kept in zip(difference, counted, strict=True)
        ]
        np.testing.assert_allclose(ours, plain, rtol=1e-5)
    logits = rng.normal(size=(int(counted.sum()), 9))
    numbers = rng.integers(0, 9, size=(3, 5))
    losses = masked_code_loss(*map(torch.from_numpy, (logits, numbers)), torch.from_numpy(counted))
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = np.zeros((3, 5))
    expected[counted] = -logs[np.arange(len(logits)), numbers[counted]]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.integers(0, 32), min_size=1, max_size=5),
    ratio=st.sampled_from([0.1, 0.5, 1.0]),
    draw=st.integers(0, 3),
)
def test_masks_are_a_records_own(lengths: list[int], ratio: float, draw: int) -> None:
    whole = torch.arange(32) < torch.tensor(lengths)[:, None]
    records = list(range(7, 7 + len(lengths)))
    masks = word_masks(whole, records, 32, ratio, seed=3, draw=draw)
    assert not (masks & ~whole).any()
    expected = [max(1, round(ratio * n)) if n else 0 for n in lengths]
    assert masks.sum(1).tolist() == expected
    for k, length in enumerate(lengths):
        alone = word_masks(whole[k : k + 1, : max(1, length)], [records[k]], 32, ratio, 3, draw)
        assert torch.equal(alone[0], masks[k, : alone.shape[1]])
    padded = word_masks(whole, records, 32, ratio, seed=3, draw=draw, on_padding=True)
    assert padded.sum(1).tolist() == [max(1, round(32 * ratio))] * len(lengths)


# -- networks ------------------------------------------------------------------------------------


def test_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        sentence, tokenizer = (
            sum(p.numel() for p in network.parameters())
            for network in (
                MaskedSentences(HeartLangConfig(), 8192),
                HeartbeatTokenizer(TokenizerConfig()),
            )
        )
    assert sentence == 44_562_176
    # The authors' modules have two mask tokens that nothing uses; they count the codes, and a copy
    # and two counts of them, as parameters.
    trained = tokenizer + 2 * 768
    assert trained == 23_593_184
    assert trained + 2 * 8192 * 128 + 8192 == 25_698_528
    assert TokenizerConfig.beside(HeartLangConfig()) == TokenizerConfig()


@pytest.mark.parametrize("shape", [SMALL, FILLED])
def test_an_embedding_does_not_depend_on_its_batch(shape: HeartLangConfig) -> None:
    encoder = HeartLangEncoder(shape).eval()
    words = shape.words if shape.attend_padding else None
    batch = sentences([9, 32, 0, 4], words=words)
    with torch.no_grad():
        together = encoder(batch.packed())
        for k, length in enumerate([9, 32, 0, 4]):
            most = words or max(1, length)
            alone = Sentences(*(part[k : k + 1, :most] for part in batch))
            torch.testing.assert_close(encoder(alone.packed())[0], together[k])
    assert bool(torch.isfinite(together).all())


def test_padding_is_of_no_use_unless_it_is_attended_to() -> None:
    short = sentences([5])
    long = sentences([5], words=32)
    for shape, same in ((SMALL, True), (FILLED, False)):
        torch.manual_seed(0)
        encoder = HeartLangEncoder(shape).eval()
        ends = _embed_without(encoder, short)
        assert torch.allclose(encoder(long.packed()), ends, atol=1e-5) == same
    with pytest.raises(ValueError, match="not filled up to 32"):
        HeartLangEncoder(FILLED)(short.packed())


def _embed_without(encoder: HeartLangEncoder, short: Sentences) -> torch.Tensor:
    plain = HeartLangEncoder(SMALL).eval()
    plain.load_state_dict(encoder.state_dict())
    return plain(short.packed())


@pytest.mark.parametrize("before", [True, False])
def test_a_masked_word_leaks_only_through_the_authors_convolution(before: bool) -> None:
    network = MaskedSentences(SMALL, codes=9, mask_before_convolution=before).eval()
    first = sentences([6])
    masked = torch.zeros(1, 6, dtype=torch.bool)
    masked[0, 2] = True
    other = first._replace(words=torch.where(masked[..., None], -first.words, first.words))
    assert torch.allclose(network(first, masked), network(other, masked), atol=1e-5) == before


def test_leads_and_times_tell_the_codes() -> None:
    tokenizer = HeartbeatTokenizer(TokenizerConfig(SMALL, 1, codes=9, code_size=4)).eval()
    batch = sentences([6, 3])
    moved = batch._replace(leads=torch.where(batch.real, 7, 0))
    for numbered, same in ((True, False), (False, True)):
        vectors = [tokenizer.vectors(part, numbered) for part in (batch, moved)]
        assert torch.allclose(*vectors, atol=1e-5) == same


def test_the_tokenizer_learns_from_what_counts() -> None:
    torch.manual_seed(0)
    tokenizer = HeartbeatTokenizer(TokenizerConfig(FILLED, 1, codes=9, code_size=4)).train()
    batch = sentences([6, 3], words=32)
    before = tokenizer.codebook.weight.clone()
    assert tokenizer(batch).counted.sum() == 9
    assert torch.equal(tokenizer.codebook.weight, before)
    made = tokenizer(batch, on_padding=True, update=True)
    assert made.counted.all() and not torch.equal(tokenizer.codebook.weight, before)
    assert made.made.shape == batch.words.shape and made.codes.shape == (2, 32)
    made.made.sum().backward()
    missing = [name for name, value in tokenizer.named_parameters() if value.grad is None]
    assert not missing


def test_half_precision_is_close() -> None:
    shape = HeartLangConfig(**{**vars(SMALL), "words": 64})
    torch.manual_seed(0)
    encoder = HeartLangEncoder(shape).eval()
    packed = sentences([50, 20]).packed()
    with torch.no_grad():
        whole = encoder(packed)
        half = copy.deepcopy(encoder).half()(packed.half())
        encoder.precision = torch.bfloat16
        reduced = encoder(packed)
    torch.testing.assert_close(half.float(), whole, atol=0.02, rtol=0.02)
    torch.testing.assert_close(reduced.float(), whole, atol=0.1, rtol=0.1)


@pytest.mark.parametrize(
    ("filled", "words", "encoder", "step", "tokenizer"),
    [
        (True, 256, 10.57, 11.37, 6.31),
        (False, 10, 0.42, 0.45, 0.26),
        (False, 120, 4.77, 5.15, 2.94),
    ],
)
def test_what_a_record_costs(
    filled: bool, words: int, encoder: float, step: float, tokenizer: float
) -> None:
    """Multiply-accumulate operations of the published sizes, in thousands of millions: as the
    authors compute them, of a record of ten beats on lead I alone, and on all twelve leads."""
    with torch.device("meta"):
        network = MaskedSentences(HeartLangConfig(attend_padding=filled), 8192).eval()
        shape = replace(TokenizerConfig().encoder, attend_padding=filled)
        words_to_codes = HeartbeatTokenizer(replace(TokenizerConfig(), encoder=shape)).eval()
    words_to_codes.to_empty(device="cpu")
    for value in (*words_to_codes.parameters(), *words_to_codes.buffers()):
        value.data.zero_()
    numbers = torch.ones(1, words, dtype=torch.int64)
    real = Sentences(torch.zeros(1, words, 96), numbers, numbers)
    record = Sentences(*(part.to("meta") for part in real))

    def guess_half() -> None:
        tokens = network.encoder.transformer(record.words, record)
        network.head(tokens[:, 1 : 1 + words // 2])

    for compute, expected in (
        (lambda: network.encoder(record.packed()), encoder),
        (guess_half, step),
        (lambda: words_to_codes(real), tokenizer),
    ):
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter, sdpa_kernel(SDPBackend.MATH):
            compute()
        assert counter.get_total_flops() / 2e9 == pytest.approx(expected, abs=0.006)


def test_an_encoder_says_what_it_reads() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 1, 1000\) is no sentences.*build_input"):
        HeartLangEncoder(FILLED)(torch.zeros(4, 1, 1000))
