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
``dictionaries/DIGEST.npz``
    Patterns that a spec takes from a file: a copy, for the workers and for whoever runs a point again.

Every file is written under another name and renamed, so that it is whole or absent whatever dies. No other files are
written or removed, and none through a link: only the directory itself may be one.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..atomic import atomic_path, exclusive_directory, is_leftover, remove_leftovers, writable_directory
from ..errors import OutputError, ResultFileError
from ..locks import open_regular

__all__ = ["SweepFiles", "digest", "read_json", "write", "write_json"]

_STAGED = re.compile(r"[0-9a-f]{32}\.npz")
_PATH = re.compile(r"(\w+/)?(zarr\.json|c(\.\d+)*)")

# Bytes of a manifest or commit: several times those of a shard of as many points as a sweep may have.
_LONGEST_JSON = 2**28


class SweepFiles:
    """The files of the sweep in ``directory``."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.manifest = self.directory / "manifest.json"
        self.store = self.directory / "sweep.zarr"
        self.commits = self.directory / "commits"
        self.staging = self.directory / "staged"
        self.dictionaries = self.directory / "dictionaries"

    def commit(self, shard: int) -> Path:
        """Where the completeness of a shard is recorded."""
        return self.commits / f"{shard:06d}.json"

    def staged(self, point: str) -> Path:
        """Where the results of a point wait for those of its shard."""
        return self.staging / f"{point}.npz"

    def dictionary(self, digest: str) -> Path:
        """Where the patterns of a dictionary are kept."""
        return self.dictionaries / f"{digest}.npz"

    def sound(self, digests: Mapping[str, str]) -> bool:
        """Whether the files of the store, by path, have these digests; False for a path that leads out of it."""
        try:
            return all(_PATH.fullmatch(path) and _sha256(self.store / path) == found for path, found in digests.items())
        except (OSError, TypeError):
            return False

    def require_new(self) -> None:
        """Raise `ResultFileError` where the directory holds more than a sweep leaves that dies before its manifest."""
        if not self.directory.is_dir():
            return
        for path in sorted(self.directory.iterdir()):
            known = path in (self.store, self.commits, self.staging, self.dictionaries)
            empty = known and not path.is_symlink() and path.is_dir() and not any(path.iterdir())
            if not (empty or is_leftover(path) or (path.name == ".lock" and not path.is_symlink())):
                raise ResultFileError(
                    f"{self.directory} holds {path.name} and no {self.manifest.name}; "
                    "expected a new or empty directory, or that of a sweep"
                )

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Make the directories, keep other sweeps out of them, and remove what killed processes left half written.

        Raises `OutputError` where they cannot be written, hold links, or another process on this machine is using them.
        """
        with exclusive_directory(self.directory, "sweep"):
            for folder in (self.store, self.commits, self.staging, self.dictionaries):
                _refuse_links(folder)
                writable_directory(folder)
            for folder in self.store.iterdir():
                remove_leftovers(folder)
            yield

    def all_staged(self) -> set[Path]:
        """The files of staged points, of this sweep's or not: no others are ever removed."""
        return {path for path in self.staging.iterdir() if _STAGED.fullmatch(path.name) and path.is_file()}


def _refuse_links(folder: Path) -> None:
    """Raise `OutputError` for a link in a folder of the sweep's own, or in place of it: what it writes stays there."""
    if folder.is_symlink():
        raise OutputError(f"{folder} is a link; expected a sweep's own directory")
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            if os.path.islink(os.path.join(parent, name)):
                raise OutputError(f"{Path(parent, name)} is a link; expected a sweep's own file")


def _sha256(path: Path) -> str:
    """What `digest` gives for the content of an ordinary file."""
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: bytes) -> str:
    """What identifies the content of a file."""
    return hashlib.sha256(content).hexdigest()


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; `OutputError` where it cannot be, is a link, or the disk is full."""
    with atomic_path(path, follow_links=False) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON as `write` writes bytes."""
    write(path, json.dumps(content, indent=1).encode())


def read_json(path: Path) -> Any:
    """The content of a JSON file; None if it is missing, no ordinary file or no JSON."""
    try:
        descriptor = open_regular(path, os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(_LONGEST_JSON + 1)
        return json.loads(content) if len(content) <= _LONGEST_JSON else None
    except (OSError, ValueError, RecursionError):
        return None
