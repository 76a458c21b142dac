"""The number of threads that suits a network."""

from __future__ import annotations

import torch
from torch import nn

from selfmis_plugin.utils.parallel import usable_cores
from selfmis_plugin.utils.threads import most_threads, said_by_user

__all__ = ["ONE_THREAD_BELOW", "batches_at_once", "suit_threads", "suitable_threads"]

#: Batches that are computed side by side at most: each takes memory, and one thread reads for all.
_MOST_AT_ONCE = 8

#: Parameters below which a network takes one thread. Two threads against one, training steps of
#: Net1D in turns on 2 cores of a shared machine (load 5): 0.55 times the speed at 0.1 million
#: parameters, 0.69 at 0.7, 0.85 at 1.1 and at 3.9, the best of 12 turns 0.8, 1.3, 1.2 and 1.4. So
#: on an idle machine a second thread begins to pay at about a million, and on a busy one later.
#: Where threads spin while they wait, two are 0.1 to 0.4 times as fast as one at these sizes there.
ONE_THREAD_BELOW = 2_000_000


def suitable_threads(network: nn.Module) -> int:
    """Return one thread for a small network, and for another as many as this process may take."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return 1 if parameters < ONE_THREAD_BELOW else min(usable_cores(), most_threads() or 2**16)


def suit_threads(network: nn.Module) -> int | None:
    """Let PyTorch take the threads that suit *network*, unless the user has said how many.

    Returns
    -------
    int or None
        The number of threads; None where it was left alone.
    """
    if said_by_user():
        return None
    threads = suitable_threads(network)
    torch.set_num_threads(threads)
    return threads


def batches_at_once(device: torch.device, processes: int = 1) -> int:
    """Return how many batches a network may compute side by side, each on PyTorch's threads.

    Unlike the threads of one batch these never wait for each other, so that on a busy machine they
    cost nothing.

    Parameters
    ----------
    device
        Where it computes; a GPU has its own order.
    processes
        Processes that share this machine's cores.

    Returns
    -------
    int
        1 where the user has said how many threads there are to be.
    """
    if device.type != "cpu" or said_by_user():
        return 1
    cores = min(usable_cores(), most_threads() or 2**16)
    return min(_MOST_AT_ONCE, max(1, cores // (torch.get_num_threads() * processes)))
