"""How much memory there is, so that what cannot fit is refused before it is begun."""

import sys
from collections.abc import Iterator
from pathlib import Path

from .errors import InvalidInputError

__all__ = ["available_memory", "require_memory", "run_memory"]


def require_memory(needed: float, what: str) -> None:
    """Raise `InvalidInputError` where ``what``, which takes ``needed`` bytes, is more than `available_memory`."""
    free = available_memory()
    if needed > free:
        raise InvalidInputError(f"{what} {_size(needed)} of memory; expected at most {_size(free)}, which are free")


def run_memory(
    shape: tuple[int, int], trajectories: int, itemsize: int, *, snapshots: int, records: int, shells: int
) -> float:
    """Bytes that a run in one piece takes at least: its states, the fields that it keeps, and its records.

    The states and their copy at the end, ``snapshots`` fields, and in float64 the records of three observables and of
    two derivatives for each of ``shells`` shells. Scratch memory of engines is not counted.
    """
    sites = float(shape[0]) * shape[1] * trajectories
    return sites * itemsize * (snapshots + 2) + 8.0 * trajectories * records * (3 + 2 * shells)


def available_memory() -> float:
    """Bytes that this process can still get, swap space included; infinite where the system does not tell."""
    return min((*_system(), *_container(), *_process()), default=float("inf"))


def _system() -> Iterator[float]:
    """Linux: free memory and what can be freed at once."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        yield sizes["MemAvailable"] + sizes["SwapFree"]
    except (OSError, ValueError, KeyError, IndexError):
        return


def _container() -> Iterator[float]:
    """Linux: what the control group (version 2) leaves, with the files that are only cached."""
    group = Path("/sys/fs/cgroup")
    limit, used = _numbers(group / "memory.max"), _numbers(group / "memory.current")
    if limit and used:
        try:
            lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
            cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        except (OSError, ValueError, IndexError):
            cached = 0
        yield max(0, limit[0] - used[0] + cached)


def _process() -> Iterator[float]:
    """POSIX: what ``ulimit -v`` leaves."""
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            used = _numbers(Path("/proc/self/statm"))
            yield max(0, limit - (used[0] * resource.getpagesize() if used else 0))


def _numbers(path: Path) -> list[int]:
    """The whole numbers in a file of the system; none where it is missing or holds a word."""
    try:
        return [int(word) for word in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"
