"""`sweep`: compute what a design still lacks."""

import multiprocessing
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError, SchedulerError
from .files import SweepFiles, read_json
from .shards import remaining
from .spec import Spec
from .spec_file import load_spec
from .store import SweepStore

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

__all__ = ["UNGUARDED", "complete", "require_main_guard", "sweep"]

UNGUARDED = (
    'the script that calls this does it without `if __name__ == "__main__"`, and every worker, which imports it, would '
    "do it again; expected the guard"
)


def sweep(
    spec: str | Path | Mapping[str, Any] | Spec,
    out: str | Path,
    client: "Client | str | None" = None,
    *,
    workers: int | None = None,
    extend: bool = False,
    over_budget: bool = False,
    progress: bool = False,
) -> "xr.Dataset":
    """Run every point of a design that the directory ``out`` does not hold yet, and open the results.

    Finished points are kept whatever dies, the caller included, and are never computed again: the same call goes on
    where the last one stopped. The results do not depend, bit for bit, on workers, threads or interruptions.

    Parameters
    ----------
    spec
        A TOML file, the name of a ready spec, a mapping of the same form, or a `Spec`.
    out
        Directory of the sweep, which all workers must share; made if need be.
    client
        A `distributed.Client`, or the address of a running scheduler. By default a cluster of single-threaded
        processes on this machine, for as long as the call lasts; a script then needs the usual
        ``if __name__ == "__main__"``, because its workers import it.
    workers
        Number of those processes; one a core by default.
    extend
        Add the points of ``spec`` to a sweep that was made with another one. It must keep all that is there.
    over_budget
        Run a design of more site-steps than its budget.
    progress
        Print the address of Dask's dashboard on standard error and, if that is a terminal, show a progress bar.

    Returns
    -------
    xarray.Dataset
        What `open_sweep` gives.

    Raises
    ------
    InvalidInputError, DtypeError
        For a spec with unknown keys, ill-typed values or impossible points, naming file and line; for a design beyond
        its budget; for a spec other than the one in ``out``; for a client that is none, or workers of several threads.
    ResultFileError
        For a spec that cannot be read, or a sweep in ``out`` of another version of fastpatch.
    OutputError
        Where ``out`` cannot be written or another sweep is using it.
    SchedulerError
        For a scheduler that cannot be reached or is lost, and for workers that do not start, with the reason.
    VersionMismatchError
        For workers with other versions than the caller's.
    SweepError
        If points failed; all others have been computed by then.
    """
    from .reading import open_sweep

    complete(
        load_spec(spec), out, client, workers=workers, extend=extend, over_budget=over_budget, progress=progress
    )  # fmt: skip
    return open_sweep(out)


def complete(
    spec: Spec,
    out: str | Path,
    client: "Client | str | None" = None,
    *,
    workers: int | None = None,
    extend: bool = False,
    over_budget: bool = False,
    progress: bool = False,
) -> tuple[SweepStore, int]:
    """`sweep` without opening the results: the store, and how many points have been computed.

    Where nothing was left to do, neither Dask nor Zarr is imported.
    """
    if client is not None and workers is not None:
        raise InvalidInputError(f"workers is {workers} beside a scheduler, which has its own; expected one of the two")
    if client is None:
        require_main_guard()
    # Workers need not share this process's working directory.
    directory = Path(out).absolute()
    known = read_json(SweepFiles(directory).manifest)
    store = SweepStore.plan(directory, spec, extend=extend, over_budget=over_budget)
    with store.files.in_use(), ExitStack() as stack:
        # Planned before, so that an impossible sweep leaves no directory, and again where another has come between.
        if read_json(store.files.manifest) != known:
            store = SweepStore.plan(directory, spec, extend=extend, over_budget=over_budget)
        # What is new has work to do: not before there is somebody to do it does the sweep claim the directory.
        ready = None if store.digests else _workers(stack, client, workers)
        store = store.write()
        work = remaining(store)
        if work:
            from . import driver

            driver.run(ready or _workers(stack, client, workers), store, work, progress=progress)
    return store, sum(len(part.missing) for part in work)


def _workers(stack: ExitStack, client: "Client | str | None", workers: int | None) -> "Client":
    """The client of suitable workers, for as long as ``stack`` is open."""
    from distributed import Client

    from ..runs.workers import require_suitable
    from . import cluster

    if client is None:
        client = stack.enter_context(cluster.local_client(workers))
    elif isinstance(client, str):
        client = stack.enter_context(cluster.connect(client))
    elif not isinstance(client, Client):
        raise InvalidInputError(f"client is a {type(client).__name__}; expected a Client, or a scheduler's address")
    require_suitable(client)
    return client


def require_main_guard() -> None:
    """Raise `SchedulerError` in a process that is only just importing the script of the one that started it."""
    # As `multiprocessing` itself asks.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SchedulerError(UNGUARDED)
