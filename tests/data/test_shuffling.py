"""Orders that read a store block by block: what holds for any number of records."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfmis_plugin.data.shuffling import BLOCKS_IN_WINDOW, Blocks, blocks_of

BLOCKS = st.builds(
    lambda block, many: Blocks(block, block * many), st.integers(1, 9), st.integers(1, 5)
)
COUNTS, SEEDS, EPOCHS = st.integers(0, 200), st.integers(0, 2**31), st.integers(1, 50)


@given(BLOCKS, COUNTS, SEEDS, EPOCHS)
def test_every_record_comes_once(blocks: Blocks, records: int, seed: int, epoch: int) -> None:
    order = blocks.order(records, seed, epoch)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(records))


@given(BLOCKS, COUNTS, SEEDS, EPOCHS)
def test_a_window_is_of_whole_blocks_and_no_larger(
    blocks: Blocks, records: int, seed: int, epoch: int
) -> None:
    """Nothing that is read is needed again after its window, nor before it."""
    order, start = blocks.order(records, seed, epoch), 0
    for window in blocks.windows(records, seed, epoch):
        members = blocks.members(window, records)
        assert 0 < len(members) <= blocks.window
        assert len(window) <= blocks.window // blocks.block
        assert set(order[start : start + len(members)].tolist()) == set(members.tolist())
        whole = {block * blocks.block + k for block in window for k in range(blocks.block)}
        assert set(members.tolist()) == {number for number in whole if number < records}
        start += len(members)
    assert start == records


@given(BLOCKS, COUNTS, SEEDS, EPOCHS)
def test_seed_and_epoch_decide_the_order(
    blocks: Blocks, records: int, seed: int, epoch: int
) -> None:
    order = blocks.order(records, seed, epoch)
    again = Blocks(blocks.block, blocks.window).order(records, seed, epoch)
    assert order.tolist() == again.tolist()


@given(st.integers(60, 200), SEEDS, EPOCHS)
def test_every_epoch_has_another_order(records: int, seed: int, epoch: int) -> None:
    blocks = Blocks(5, 20)
    orders = {tuple(blocks.order(records, seed, epoch + later).tolist()) for later in range(3)}
    orders.add(tuple(blocks.order(records, seed + 1, epoch).tolist()))
    assert len(orders) == 4


def test_neighbours_of_a_block_are_in_different_batches() -> None:
    """Visits of one patient lie side by side: they are rarely each other's negatives."""
    order = Blocks(64, 1024).order(8192, seed=1, epoch=1)
    batches = np.empty(8192, dtype=np.int64)
    batches[order] = np.arange(8192) // 32
    together = np.mean(batches[1:] == batches[:-1])
    assert together < 0.08  # 31 of 1,023 by chance
    assert np.corrcoef(order, np.arange(8192))[0, 1] < 0.2


def test_blocks_of_a_config() -> None:
    assert blocks_of(None, None) is None
    assert blocks_of(256, None) == Blocks(256, 256 * BLOCKS_IN_WINDOW)
    assert blocks_of(4, 12) == Blocks(4, 12)


@pytest.mark.parametrize(("block", "window"), [(None, 8), (0, None), (4, 6), (4, 2), (-1, -1)])
def test_what_does_not_fit_together_is_refused(block: int | None, window: int) -> None:
    with pytest.raises(ValueError, match=r"task\.shuffle_(block|window)=.*give a block|needs"):
        blocks_of(block, window)


def test_blocks_are_whole_in_a_window() -> None:
    with pytest.raises(ValueError, match="no whole number of blocks"):
        Blocks(4, 6)
