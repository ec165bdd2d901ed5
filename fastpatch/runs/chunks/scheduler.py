"""Where the tasks of a chunked lattice run."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

import dask

from ...errors import BackendUnavailableError, SchedulerError

__all__ = ["Scheduler"]


class Scheduler:
    """The workers of the current Dask client; without one, this process, one task after another.

    Raises `BackendUnavailableError` for a client without workers, and what `fastpatch.runs.workers.require_suitable`
    raises: workers need one thread each, and the versions that are installed here.
    """

    def __init__(self) -> None:
        self.client = _current_client()
        if self.client is None:
            return
        from ..workers import require_suitable

        require_suitable(self.client)
        if not self._workers():
            raise BackendUnavailableError("the current Dask client has no workers; expected one at least")

    @property
    def workers(self) -> int:
        return 1 if self.client is None else len(self._workers())

    @property
    def memory(self) -> float:
        """Least memory of a worker in bytes, infinite where there is no limit."""
        limits = [] if self.client is None else [worker["memory_limit"] for worker in self._workers().values()]
        return min((float(limit) for limit in limits if limit), default=float("inf"))

    @property
    def threads(self) -> int | None:
        """Numba's threads for a task: one in a worker, however many are set in this process."""
        return None if self.client is None else 1

    def persist(self, collections: Sequence[Any]) -> list[Any]:
        """Begin to compute Dask arrays of the same chunks, which stay where the workers are.

        Each worker has a slab of them, the same one every time, and takes others' when it has nothing else to do:
        Dask's own choice would move chunks between exchanges and leave workers unequal shares.
        """
        if self.client is None:
            return list(dask.persist(*collections, scheduler="synchronous"))
        # While there is no worker, on a machine that is too busy to answer, tasks wait for one, whichever it is.
        addresses = sorted(self._workers())
        placed = _placed(addresses, collections[0].numblocks) if addresses else {}
        with _one_sentence(), dask.annotate(allow_other_workers=True, **placed):
            return list(self.client.persist(list(collections)))

    def compute(self, collections: Sequence[Any]) -> list[Any]:
        """The results of Dask collections, in this process.

        Raises what a task raises, and `SchedulerError` where the scheduler is lost or a task's workers all died.
        """
        if self.client is None:
            return list(dask.compute(*collections, scheduler="synchronous"))
        with _one_sentence():
            return list(self.client.compute(list(collections), sync=True))

    def _workers(self) -> dict[str, Any]:
        assert self.client is not None
        found: dict[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        return found


def _placed(addresses: list[str], blocks: tuple[int, ...]) -> dict[str, Callable[[Any], Any]]:
    """Annotations by a task's key: those that take and make whole chunks belong to a slab, others come first."""

    # The scheduler is sent this code, so it uses nothing but built-ins.
    def place(key: Any) -> int | None:
        whole = isinstance(key, tuple) and key[0].startswith(("draw-", "overlap-", "advance-"))
        if not whole or len(key) != len(blocks) + 1:
            return None
        number, count = 0, 1
        for index, length in zip(key[1:], blocks, strict=True):
            # Edges have other indices, some of them fractions.
            if index not in range(length):
                return None
            number, count = number * length + index, count * length
        return number * len(addresses) // count

    def workers(key: Any) -> list[str]:
        home = place(key)
        return addresses if home is None else [addresses[home]]

    return {"workers": workers, "priority": lambda key: int(place(key) is None)}


def _current_client() -> Any:
    # Nobody has made a client without importing its package.
    if "distributed" not in sys.modules:
        return None
    from distributed import Client

    try:
        return Client.current()
    except ValueError:
        return None


@contextmanager
def _one_sentence() -> Iterator[None]:
    from distributed.scheduler import KilledWorker

    try:
        yield
    except CancelledError:
        raise SchedulerError("the Dask scheduler was lost in the middle of a run; expected it to stay") from None
    except KilledWorker:
        raise SchedulerError(
            "every worker that took a task of the run died; expected workers with more memory, or smaller chunks"
        ) from None
