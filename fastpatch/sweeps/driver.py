"""Submitting the work of a sweep and waiting for it."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from distributed import Client, Future, as_completed
from distributed.scheduler import KilledWorker

from ..errors import SchedulerError, SweepError
from ..messages import has_terminal, tell
from ..progress import progress_bar
from ..runs.workers import installed
from .point import Point
from .shards import Work
from .store import SweepStore
from .tasks import compute, pack

__all__ = ["run"]

_KEPT = "what is finished is kept, and the same command goes on from there"


def run(client: Client, store: SweepStore, work: Sequence[Work], *, progress: bool = False) -> None:
    """Have ``work`` done; a task whose worker dies is given to another one.

    What fails keeps nothing else from being done. Raises `SweepError` at the end, with the reason of the first
    failure, if anything did, and `SchedulerError` as soon as the scheduler is lost.
    """
    address = client.scheduler_info(n_workers=0)["address"]
    if progress:
        tell(f"dashboard: {client.dashboard_link}")
    versions = dict(installed())
    done = as_completed(loop=client.loop)
    computing: dict[Future[None], tuple[Point, Work]] = {}
    left: Counter[Work] = Counter()

    def write(part: Work) -> None:
        done.add(client.submit(pack, part.shard, store.files, pure=False))

    # The most expensive first, so that no worker is left alone with them at the end.
    for part in sorted(work, key=lambda part: -max((point.site_steps for point in part.missing), default=0)):
        task = partial(compute, shard=part.shard, files=store.files, recording=store.spec.recording, versions=versions)
        points = sorted(part.missing, key=lambda point: -point.site_steps)
        futures = client.map(task, points, key="compute", pure=False)
        computing.update((future, (point, part)) for future, point in zip(futures, points, strict=True))
        done.update(futures)
        left[part] = len(points)
        if not points:
            write(part)
    count = len(computing)
    failed: list[tuple[Point, BaseException]] = []
    unwritten: list[BaseException] = []
    with progress_bar(total=count, unit="point", show=progress and has_terminal()) as bar:
        for future in done:
            if future.status in ("cancelled", "lost"):
                raise SchedulerError(
                    f"the scheduler at {address} was lost with {len(computing)} of {count} points to go; {_KEPT}"
                )
            error = future.exception() if future.status == "error" else None
            if future not in computing:
                unwritten += [error] if error is not None else []
                continue
            # Nothing holds on to the future: the death of the worker that has its result is of no consequence.
            point, part = computing.pop(future)
            if error is not None:
                failed.append((point, error))
                continue
            bar.update()
            left[part] -= 1
            if left[part] == 0:
                write(part)
    if failed:
        point, error = failed[0]
        reason = f"{point.describe()}: {_reason(error)}"
        raise SweepError(f"{len(failed)} of {count} points failed, the first with {reason}; {_KEPT}")
    if unwritten:
        shards = f"{len(unwritten)} of {len(work)} shards"
        raise SweepError(f"{shards} could not be written, the first: {_reason(unwritten[0])}; {_KEPT}")


def _reason(error: BaseException) -> str:
    """Why a task failed, in one line."""
    if isinstance(error, KilledWorker):
        return "every worker that ran it died"
    return " ".join(str(error).split())
