"""Shards: consecutive points whose results are written together, by one worker, as one file a variable."""

from collections.abc import Sequence
from dataclasses import dataclass

from .files import SweepFiles, read_json
from .point import Point

__all__ = ["Shard", "Work", "committed_points", "is_committed", "power_of_two"]


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
    return files.commit(shard.index).exists()


def committed_points(files: SweepFiles, shard: Shard) -> Sequence[str]:
    """The points of the shard that the store holds undamaged, found by reading all its files.

    They are all its points or none, or, where an extension has made the last shard longer, the first of them.
    """
    record = read_json(files.commit(shard.index))
    try:
        ids, digests = tuple(record["points"]), dict(record["files"])
    except (TypeError, KeyError, ValueError):
        return ()
    return ids if ids == shard.ids[: len(ids)] and files.sound(digests) else ()


def power_of_two(most: int) -> int:
    """The largest power of two up to ``most``, at least 1: so many points that chunks fill a shard."""
    return 1 << max(most.bit_length() - 1, 0)
