"""What a sweep keeps on disk, and where.

``manifest.json``
    What the sweep is: its specs, the version that made it, sizes, and the digests of those files of the store that
    hold no results.
``sweep.zarr/``
    The Zarr store.
``commits/NNNNNN.json``
    One file a shard, written after it: its points, and the digest of each of its files.
``staged/ID.npz``
    Finished points whose shard is not complete yet.

Every file is written under another name and renamed, so that it is whole or absent whatever dies.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..atomic import atomic_path, writable_directory
from ..errors import OutputError

__all__ = ["SweepFiles", "digest", "read_json", "write", "write_json"]


class SweepFiles:
    """The files of the sweep in ``directory``."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.manifest = self.directory / "manifest.json"
        self.store = self.directory / "sweep.zarr"
        self.commits = self.directory / "commits"
        self.staging = self.directory / "staged"

    def commit(self, shard: int) -> Path:
        """Where the completeness of a shard is recorded."""
        return self.commits / f"{shard:06d}.json"

    def staged(self, point: str) -> Path:
        """Where the results of a point wait for those of its shard."""
        return self.staging / f"{point}.npz"

    def sound(self, digests: Mapping[str, str]) -> bool:
        """Whether the files of the store, by path, have these digests."""
        try:
            return all(digest((self.store / path).read_bytes()) == found for path, found in digests.items())
        except OSError:
            return False

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Make the directories, keep other sweeps out of them, and remove what killed processes left half written.

        Raises `OutputError` where they cannot be written or another process on this machine is using them.
        """
        for folder in (self.directory, self.store, self.commits, self.staging):
            writable_directory(folder)
        with self._lock_file() as file:
            if not _lock(file.fileno()):
                raise OutputError(f"{self.directory} is in use by another sweep; expected one at a time")
            for folder in (self.store, self.commits, self.staging):
                for path in folder.rglob(".*"):
                    if path.is_file():
                        path.unlink(missing_ok=True)
            yield

    def _lock_file(self) -> IO[str]:
        path = self.directory / ".lock"
        try:
            return path.open("w")
        except OSError as error:
            expected = "expected a directory of one's own"
            raise OutputError(f"{path} cannot be written ({error.strerror}); {expected}") from None


def _lock(descriptor: int) -> bool:
    """Whether the lock was free; the system releases it when the process ends, however it does."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def digest(content: bytes) -> str:
    """What identifies the content of a file."""
    return hashlib.sha256(content).hexdigest()


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; `OutputError` where it cannot be, or the disk is full."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON as `write` writes bytes."""
    write(path, json.dumps(content, indent=1).encode())


def read_json(path: Path) -> Any:
    """The content of a JSON file; None if it is missing or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
