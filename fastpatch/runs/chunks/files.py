"""States of a lattice on disk, a file a chunk, so that no lattice need be in memory at once."""

import os
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ...atomic import atomic_path, writable_directory
from ...errors import OutputError
from ...locks import is_free, open_regular, take

__all__ = ["Scratch"]

# What is removed unasked has a name and a lock that nothing else of this package has.
_PREFIX = "fastpatch-scratch-"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")
_LOCK = ".scratch-lock"


class Scratch:
    """A directory of states, each under a name of its own.

    Without a ``directory`` to make it in, it is a temporary one, which is removed when neither this object nor an array
    that reads from it is left. Raises `OutputError` where it cannot be made.
    """

    def __init__(self, directory: str | Path | None) -> None:
        parent = writable_directory(directory or dask.config.get("temporary-directory", None) or tempfile.gettempdir())
        if directory is not None:
            self.path = _new(parent)
            return
        _remove_abandoned(parent)
        self.path, descriptor = _new_locked(parent)
        weakref.finalize(self, _remove, self.path, descriptor)

    def write(self, state: da.Array, name: str) -> da.Array:
        """Tasks that write the chunks of a state (T, L1, L2), one True each, to be computed before it is read."""
        (self.path / name).mkdir(exist_ok=True)
        ones = tuple((1,) * count for count in state.numblocks)
        meta = np.empty((0, 0, 0), dtype=bool)
        return state.map_blocks(_save, folder=self.path / name, chunks=ones, dtype=bool, meta=meta)

    def read(self, name: str, chunks: tuple[tuple[int, ...], ...], dtype: np.dtype[Any]) -> da.Array:
        """A state that has been written, lazily."""
        meta = np.empty((0, 0, 0), dtype=dtype)
        return da.map_blocks(_load, scratch=_Kept(self), folder=name, chunks=chunks, dtype=dtype, meta=meta)

    def remove(self, name: str) -> None:
        """Delete a state from which nothing will be read any more."""
        shutil.rmtree(self.path / name, ignore_errors=True)


def _new(parent: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).absolute()


def _new_locked(parent: Path) -> tuple[Path, int]:
    """A new directory, and the descriptor of its lock, which is held."""
    while True:
        path = _new(parent)
        descriptor = open_regular(path / _LOCK, os.O_RDWR | os.O_CREAT)
        take(descriptor, wait=True)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # taken for an abandoned one before it was locked


def _remove(path: Path, descriptor: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)


def _remove_abandoned(parent: Path) -> None:
    """Remove scratch directories of this user's processes that were killed: those whose lock nobody holds."""
    for path in parent.glob(f"{_PREFIX}*"):
        if not _NAME.fullmatch(path.name):
            continue
        try:
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            descriptor = open_regular(path / _LOCK, os.O_RDWR)
        except (OSError, AttributeError):  # another's, still without a lock, or Windows
            continue
        try:
            if is_free(descriptor):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)


class _Kept:
    """A scratch directory's path that keeps it from being removed, but travels to workers as no more than a path."""

    def __init__(self, scratch: Scratch) -> None:
        self.path, self._scratch = scratch.path, scratch

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __dask_tokenize__(self) -> str:
        return str(self.path)


def _save(block: NDArray[Any], block_id: tuple[int, ...], folder: Path) -> NDArray[np.bool_]:
    if not folder.is_dir():
        raise OutputError(f"{folder} is not to be seen from a worker; expected a scratch directory that all share")
    with atomic_path(folder / _name(block_id), durable=False) as path, path.open("wb") as file:
        np.save(file, block)
    return np.ones((1,) * block.ndim, dtype=bool)


def _load(block_id: tuple[int, ...], scratch: _Kept, folder: str) -> NDArray[Any]:
    path = scratch.path / folder / _name(block_id)
    try:
        loaded: NDArray[Any] = np.load(path, allow_pickle=False)
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror}); expected what a run has left there") from None
    return loaded


def _name(block_id: tuple[int, ...]) -> str:
    return ".".join(map(str, block_id)) + ".npy"
