"""Workers of a Dask cluster that is there already. Imported only where one is asked for.

Dask hands the work of a worker that was lost to another one, and knows batch systems and clouds;
see https://distributed.dask.org.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TypeVar

from distributed import Client, KilledWorker
from distributed.comm import CommClosedError

from selfmis_plugin.preparation.parts import StoppedError
from selfmis_plugin.utils.parallel import as_completed

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class DaskWorkers:
    """The workers of a Dask cluster.

    Attributes
    ----------
    address
        The scheduler's, such as ``tcp://node7:8786``.
    timeout
        Seconds to wait for the scheduler.
    """

    address: str
    timeout: float = 30.0

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result for every item as soon as it is there, whatever their order.

        Raises
        ------
        StoppedError
            If the scheduler cannot be reached or goes away, or workers die again and again.
        """
        client = connect(self.address, self.timeout)
        with client:
            executor = client.get_executor(pure=False)
            try:
                yield from as_completed(
                    executor, function, items, lambda: 2 * max(1, sum(client.nthreads().values()))
                )
            except KilledWorker as error:
                raise StoppedError(
                    f"--scheduler {self.address}: workers die of the same part again and again "
                    f"({error}); do they have enough memory?"
                ) from error
            except (CancelledError, CommClosedError) as error:
                raise StoppedError(
                    f"--scheduler {self.address}: the scheduler went away ({error})"
                ) from error
            except ModuleNotFoundError as error:
                raise StoppedError(lacks_module(self.address, error)) from error
            finally:
                executor.shutdown(wait=False)


def connect(address: str, timeout: float) -> Client:
    """Return a connection to a scheduler.

    Parameters
    ----------
    address
        Such as ``tcp://node7:8786``.
    timeout
        Seconds to wait for it.

    Raises
    ------
    StoppedError
        If it cannot be reached.
    """
    try:
        return Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StoppedError(
            f"--scheduler {address}: cannot be reached ({error}); is a Dask scheduler running "
            "there, of the same version as here?"
        ) from error


def lacks_module(address: str, error: ModuleNotFoundError) -> str:
    """Return what to say where a worker cannot import what it is sent."""
    return (
        f"--scheduler {address}: a worker lacks a module ({error}); install the plugin on every "
        "worker, in the same version"
    )
