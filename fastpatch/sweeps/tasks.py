"""What workers do. A task may be done again, or by two workers at once: it finds its work done, or does the same."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec

from distributed import get_worker

from ..errors import FastpatchError, OutputError, SweepError
from ..runs.workers import installed, require_same
from ..threads import thread_limit
from .files import SweepFiles, digest, write, write_json
from .layout import VARIABLES, encode_rows, read_staged, write_staged
from .point import Point, Recording
from .shards import Shard, is_committed

__all__ = ["compute", "pack"]

P = ParamSpec("P")


def _failing_plainly(task: Callable[P, None]) -> Callable[P, None]:
    """The task with one kind of exception, a sentence: others need not survive the way to the client, or stop it."""

    @wraps(task)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            return task(*args, **kwargs)
        except FastpatchError as error:
            reason = str(error)
        except MemoryError:
            reason = "its worker ran out of memory"
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        # Out here, the exception has neither the traceback nor the context of the first one.
        raise SweepError(reason)

    return run


@_failing_plainly
def compute(
    point: Point, shard: Shard, recording: Recording, files: SweepFiles, versions: Mapping[str, str | None]
) -> None:
    """Run a point on one thread and stage what it records.

    Raises `SweepError` if that fails, the result cannot be written, the sweep's directory is not to be seen from here,
    or the client's ``versions`` are not this worker's.
    """
    require_same(installed(), versions, get_worker().address)
    if not files.manifest.exists():
        raise OutputError(f"{files.manifest} is not to be seen from a worker; expected a directory that all share")
    if is_committed(files, shard) or files.staged(point.id).exists():
        return
    with thread_limit(1):
        result = point.simulate(recording)
    write_staged(files.staged(point.id), result)


@_failing_plainly
def pack(shard: Shard, files: SweepFiles) -> None:
    """Move the staged points of a shard into the store: its files, then its commit, then the staged ones go.

    Raises `SweepError` where a file cannot be written, or a staged point is not to be seen from here.
    """
    if is_committed(files, shard):
        return
    rows = [row for row in (read_staged(files.staged(point)) for point in shard.ids) if row is not None]
    if len(rows) < len(shard.ids):
        if is_committed(files, shard):  # by another worker, just now
            return
        seen = f"{len(rows)} of {len(shard.ids)} points"
        raise OutputError(f"{files.staging} shows a worker {seen}; expected a directory that all share")
    digests = {}
    for name in VARIABLES:
        metadata = (files.store / name / "zarr.json").read_bytes()
        for path, content in encode_rows(metadata, shard.first, [row[name] for row in rows]).items():
            write(files.store / name / path, content)
            digests[f"{name}/{path}"] = digest(content)
    write_json(files.commit(shard.index), {"points": shard.ids, "files": digests})
    for point in shard.ids:
        files.staged(point).unlink(missing_ok=True)
