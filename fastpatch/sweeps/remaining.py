"""What a sweep has still to do, found by looking at all that it has done."""

from pathlib import Path

from .shards import Shard, Work, committed_points
from .store import SweepStore

__all__ = ["remaining"]


def remaining(store: SweepStore) -> list[Work]:
    """The shards that are not in the store whole and undamaged, with their points that are not staged either.

    Damaged files and those that are no longer needed are removed. Every shard is read once; nothing is decoded where
    all is well.
    """
    points = {point.id: point for point in store.points}
    superfluous = store.files.all_staged()
    work = []
    for shard in store.shards:
        held = len(committed_points(store.files, shard))
        if held == len(shard.ids):
            continue
        if held:
            superfluous |= _unpack(store, shard, held)
        store.files.commit(shard.index).unlink(missing_ok=True)
        staged = {path for point in shard.ids if (path := store.files.staged(point)) in superfluous and _is_sound(path)}
        superfluous -= staged
        missing = tuple(points[point] for point in shard.ids if store.files.staged(point) not in staged)
        work.append(Work(shard, missing))
    for path in superfluous:
        path.unlink()
    return work


def _is_sound(path: Path) -> bool:
    from .staging import read_staged

    return read_staged(path) is not None


def _unpack(store: SweepStore, shard: Shard, count: int) -> set[Path]:
    """Stage the first points of a shard that an extension has made longer, and is therefore written again."""
    from .reading import open_sweep, point_result
    from .staging import write_staged

    dataset = open_sweep(store.files.directory)
    staged = {shard.first + index: store.files.staged(shard.ids[index]) for index in range(count)}
    for index, path in staged.items():
        write_staged(path, point_result(dataset, index))
    return set(staged.values())
