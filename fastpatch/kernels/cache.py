"""Machine code of kernels on disk: it spares compiling, and nothing depends on it.

One file holds one kernel for one list of argument types. Its name follows from all that the code depends on (sources,
types, CPU, versions), and it begins with the digest of what follows; a file that is not what it should be counts as
missing, and is made again. Files appear by renaming, so processes that compile at the same time do not disturb one
another, nor does one that is killed.
"""

import os
import pickle
import platform
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import config
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

__all__ = ["KernelCache", "folders", "size", "sources", "writable_folder"]

_MAGIC = b"fastpatch kernel 1\n"
_DIGEST = 32

# Seconds after which a file that was being written is known to be left over.
_LEFT_OVER = 3600.0

_complaints: list[str] = []


class KernelCache(_Cache):
    """The cache of one kernel, as Numba's dispatchers ask for it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = function.__name__
        # A function made by another one has the same name and line each time, and other values around it.
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        self._identity = function.__module__, function.__qualname__, function.__code__.co_firstlineno, dumps(cells)
        self._enabled = True

    @property
    def cache_path(self) -> str | None:
        folder = writable_folder()
        return None if folder is None else str(folder)

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        for folder in folders():
            for entry in _entries(folder, self._name):
                _remove(entry)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel for a signature, None where no folder has it whole."""
        target_context.refresh()
        if not self._enabled:
            return None
        name = self._file(sig, target_context)
        for folder in folders():
            payload = _read(folder / name)
            if payload is None:
                continue
            # Whatever is wrong with it, compiling is the remedy.
            try:
                return CompileResult._rebuild(target_context, *pickle.loads(payload))
            except Exception:
                continue
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel for other processes, or warn, once in a process, of why none can be kept."""
        if not self._enabled:
            return
        payload = dumps(data._reduce())
        name = self._file(sig, data.target_context)
        reasons = []
        for folder in folders():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _write(folder / name, payload)
            except OSError as error:
                reasons.append(f"{folder}: {error.strerror or error}")
            else:
                self._remove_outdated(folder)
                return
        _complain(reasons)

    def _file(self, sig: Any, target_context: Any) -> str:
        versions = numba.__version__, llvmlite.__version__, platform.python_implementation(), sys.version_info[:3]
        key = repr((self._identity, str(sig), target_context.codegen().magic_tuple(), versions))
        return f"{self._name}-{sources()}-{sha256(key.encode()).hexdigest()[:16]}.kernel"

    def _remove_outdated(self, folder: Path) -> None:
        """Remove this kernel's code of other sources, and what killed processes have left."""
        for entry in _entries(folder, self._name):
            if f"-{sources()}-" not in entry.name:
                _remove(entry)
        for entry in folder.glob(".*.tmp"):
            try:
                if time.time() - entry.stat().st_mtime > _LEFT_OVER:
                    entry.unlink()
            except OSError:
                continue


def folders() -> list[Path]:
    """Where kernels may lie, first what is preferred: ``NUMBA_CACHE_DIR``, or else beside the sources and at home."""
    package = Path(__file__).resolve().parent
    # Installed copies of the package do not remove one another's kernels.
    own = f"fastpatch-{sha256(str(package).encode()).hexdigest()[:12]}"
    if config.CACHE_DIR:  # type: ignore[attr-defined]  # set at run time
        return [Path(config.CACHE_DIR) / own]  # type: ignore[attr-defined]
    return [package / "__pycache__", Path(AppDirs(appname="fastpatch", appauthor=False).user_cache_dir) / own]


def writable_folder() -> Path | None:
    """The folder that new kernels go to, made if need be; None where there is none."""
    for folder in folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


def size() -> int:
    """Bytes of the kernels on disk that this installation would find."""
    return sum(entry.stat().st_size for folder in folders() for entry in _entries(folder, "*"))


@cache
def sources() -> str:
    """Digest of all source files of kernels; of nothing where they are not on disk."""
    package = Path(__file__).parent
    digest = sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(f"{file.relative_to(package).as_posix()}\n".encode() + sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _entries(folder: Path, name: str) -> list[Path]:
    return list(folder.glob(f"{name}-*.kernel"))


def _read(path: Path) -> bytes | None:
    """What `_write` wrote, None for anything else."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    payload = content[start:]
    if content[:start] != _MAGIC + sha256(payload).digest():
        return None
    return payload


def _write(path: Path, payload: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp")
    try:
        temporary.write_bytes(_MAGIC + sha256(payload).digest() + payload)
        temporary.replace(path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _complain(reasons: list[str]) -> None:
    if not _complaints:
        _complaints.extend(reasons)
        warnings.warn(
            f"compiled kernels cannot be kept ({'; '.join(reasons)}), so every process compiles them anew; "
            "set NUMBA_CACHE_DIR to a writable directory with 20 MB of room",
            RuntimeWarning,
            stacklevel=2,
        )
