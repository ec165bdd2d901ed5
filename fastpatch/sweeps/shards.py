"""Shards: consecutive points whose results are written together, by one worker, as one file a variable; and which of
them a sweep still lacks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .files import SweepFiles, read_json
from .point import Point

if TYPE_CHECKING:
    from .store import SweepStore

__all__ = ["Shard", "Work", "committed_points", "is_committed", "listed_points", "power_of_two", "remaining"]


@dataclass(frozen=True)
class Shard:
    """Its number, that of its first point, and the identities of its points."""

    index: int
    first: int
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """A shard that is not in the store yet, and those of its points that are still to be computed."""

    shard: Shard
    missing: tuple[Point, ...]


def is_committed(files: SweepFiles, shard: Shard) -> bool:
    """Whether the shard is there. Every commit found during a sweep was checked at its start, or written since."""
    return listed_points(files, shard) == shard.ids


def listed_points(files: SweepFiles, shard: Shard) -> tuple[str, ...]:
    """The points of the shard that its commit lists, whose files are not looked at.

    They are all its points or none, or, where an extension has made the last shard longer, the first of them.
    """
    return _commit(files, shard)[0]


def committed_points(files: SweepFiles, shard: Shard) -> Sequence[str]:
    """The same, if the store holds them undamaged, found by reading all its files."""
    ids, digests = _commit(files, shard)
    return ids if files.sound(digests) else ()


def _commit(files: SweepFiles, shard: Shard) -> tuple[tuple[str, ...], dict[str, str]]:
    """Points and digests in the commit of a shard; none where it is missing, damaged or another's."""
    record = read_json(files.commit(shard.index))
    try:
        ids, digests = tuple(record["points"]), dict(record["files"])
    except (TypeError, KeyError, ValueError):
        return (), {}
    return (ids, digests) if ids and ids == shard.ids[: len(ids)] else ((), {})


def power_of_two(most: int) -> int:
    """The largest power of two up to ``most``, at least 1: so many points that chunks fill a shard."""
    return 1 << max(most.bit_length() - 1, 0)


def remaining(store: "SweepStore") -> list[Work]:
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
    from .layout import read_staged

    return read_staged(path) is not None


def _unpack(store: "SweepStore", shard: Shard, count: int) -> set[Path]:
    """Stage the first points of a shard that an extension has made longer, and is therefore written again."""
    from .layout import write_staged
    from .reading import open_sweep, point_result

    dataset = open_sweep(store.files.directory)
    staged = {shard.first + index: store.files.staged(shard.ids[index]) for index in range(count)}
    for index, path in staged.items():
        write_staged(path, point_result(dataset, index))
    return set(staged.values())
