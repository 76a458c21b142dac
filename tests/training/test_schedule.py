"""The number of updates of a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfmis_plugin.training import plan as training_plan


@pytest.fixture(autouse=True)
def _forget_plan():
    yield
    training_plan.set_batches_per_epoch(None)


def test_unknown_before_the_data_are() -> None:
    assert training_plan.total_updates(3, [1]) is None


@given(
    batches=st.integers(1, 200),
    epochs=st.integers(1, 30),
    update_freq=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    limit=st.integers(0, 100),
)
def test_total_updates_are_those_of_a_walk_through_the_epochs(
    batches: int, epochs: int, update_freq: list[int], limit: int
) -> None:
    training_plan.set_batches_per_epoch(batches)
    updates = 0
    for epoch in range(1, epochs + 1):
        # As the hosts choose it in their training loop.
        freq = update_freq[epoch - 1] if epoch <= len(update_freq) else update_freq[-1]
        waiting = 0
        for batch in range(batches):
            waiting += 1
            if waiting == freq or batch == batches - 1:
                updates, waiting = updates + 1, 0
    expected = min(updates, limit) if limit else updates
    assert training_plan.total_updates(epochs, update_freq, limit) == expected
