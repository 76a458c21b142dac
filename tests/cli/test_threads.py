"""How many threads a training takes, and what the user has said of them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from selfmis_plugin.benchmark.commands import run_logged
from selfmis_plugin.nn import threads
from selfmis_plugin.nn.net1d import Net1D, Net1DConfig
from selfmis_plugin.utils.parallel import Processes, on_threads
from tests.host_in_process import Training
from tests.support import write_store

GOLDEN = Path(__file__).parents[1] / "golden/v0_1/selfmis.pt"
BIG = nn.Linear(2000, 2000, device="meta")
SHOW = "import os; print(*(os.environ.get(n) for n in ('OMP_NUM_THREADS', 'OMP_WAIT_POLICY')))"


@pytest.fixture
def unsaid(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which the user has said nothing, on a machine of 8 cores."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "SELFMIS_MOST_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "usable_cores", lambda: 8)
    return monkeypatch


def test_a_small_network_takes_one_thread(unsaid: pytest.MonkeyPatch) -> None:
    small = Net1D(Net1DConfig(16, (16, 32, 64, 128), (1, 1, 1, 1)))
    assert threads.suitable_threads(small) == 1
    assert threads.suitable_threads(BIG) == 8
    unsaid.setenv("SELFMIS_MOST_THREADS", "3")
    assert threads.suitable_threads(BIG) == 3


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_what_the_user_said_stays(name: str, unsaid: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    unsaid.setenv(name, "5")
    assert threads.suit_threads(BIG) is None
    assert torch.get_num_threads() == before


def shown(tmp_path: Path, count: int) -> str:
    run_logged([sys.executable, "-c", SHOW], tmp_path / "log", count)
    return (tmp_path / "log").read_text().splitlines()[-1]


def test_processes_that_are_started_sleep_while_they_wait(
    unsaid: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert shown(tmp_path, 1) == "1 PASSIVE"
    assert shown(tmp_path, 4) == "None PASSIVE"
    unsaid.setenv("OMP_NUM_THREADS", "7")
    unsaid.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert shown(tmp_path, 1) == shown(tmp_path, 4) == "7 ACTIVE"


def test_workers_take_one_thread_each(unsaid: pytest.MonkeyPatch) -> None:
    names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")
    assert set(Processes(2).map(os.getenv, names)) == {"1", "PASSIVE"}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_cores_are_those_that_the_process_may_run_on(tmp_path: Path) -> None:
    code = (
        "import os; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n"
        "from selfmis_plugin.utils.parallel import usable_cores; print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_a_training_takes_what_suits_its_network_and_says_so(
    unsaid: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_store(tmp_path / "store", {"train": 8, "valid": 8})
    changes = {"task.data": str(data), "optimization.max_epoch": 1}
    changes |= {"model.multi_lead_checkpoint": None, "model.allow_untrained_tower": True}
    torch.set_num_threads(2)
    try:
        with caplog.at_level(logging.INFO, "selfmis_plugin"):
            Training(GOLDEN, tmp_path / "run", **changes)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(1)
    assert "1 thread, which suits this network here; OMP_NUM_THREADS=N takes N" in caplog.text


def test_threads_keep_the_order_and_take_items_as_needed() -> None:
    taken: list[int] = []
    both = threading.Barrier(2, timeout=20)

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    def square(item: int) -> int:
        if item < 2:
            both.wait()  # passed only if two run at the same time
        return item * item

    found = on_threads(square, items(), 2)
    assert next(found) == 0 and taken == [0, 1, 2]
    assert list(found) == [item * item for item in range(1, 20)]
    assert list(on_threads(square, [5, 6], 1)) == [25, 36]


def test_an_error_in_a_thread_ends_it_all() -> None:
    with pytest.raises(ZeroDivisionError):
        list(on_threads(lambda item: 1 // item, [2, 1, 0, 1, 1, 1, 1], 2))


def test_batches_of_a_small_network_are_computed_side_by_side(unsaid: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert torch.get_num_threads() == 1
    assert threads.batches_at_once(cpu) == 8
    assert threads.batches_at_once(cpu, processes=4) == 2
    assert threads.batches_at_once(cpu, processes=9) == 1
    assert threads.batches_at_once(torch.device("cuda")) == 1
    unsaid.setattr(threads, "usable_cores", lambda: 64)
    assert threads.batches_at_once(cpu) == 8  # memory
    unsaid.setenv("SELFMIS_MOST_THREADS", "3")
    assert threads.batches_at_once(cpu) == 3
    unsaid.setenv("OMP_NUM_THREADS", "1")
    assert threads.batches_at_once(cpu) == 1


def test_kept_embeddings_are_the_same_however_many_batches_are_computed_at_once(
    unsaid: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = write_store(tmp_path / "store", {"train": 67, "valid": 8})
    changes = {"task.data": str(data), "optimization.max_update": 1, "dataset.batch_size": 4}
    changes |= {"model.multi_lead_checkpoint": None, "model.allow_untrained_tower": True}
    files: list[dict[str, bytes]] = []
    for said in (None, "1"):
        if said is not None:
            unsaid.setenv("OMP_NUM_THREADS", said)
        kept = tmp_path / f"kept-{said}"
        torch.manual_seed(0)
        Training(GOLDEN, tmp_path / f"run-{said}", **changes, **{"task.embedding_cache_dir": kept})
        files.append({path.name: path.read_bytes() for path in kept.rglob("*") if path.is_file()})
    assert files[0] == files[1] and len(files[0]) > 1
