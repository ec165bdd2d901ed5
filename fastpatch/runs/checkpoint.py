"""A run on its way, states and records together, in one file from which the same call goes on."""

import contextlib
import hashlib
import signal
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_path
from ..errors import InvalidInputError, ResultFileError
from .setup import first_difference

__all__ = ["RunCheckpoint", "interruptible"]

_FORMAT = "fastpatch-run-1"

# Seconds between two saves.
_INTERVAL = 30.0


@dataclass
class RunCheckpoint:
    """Where a run is saved now and then, atomically, and read back from.

    Attributes
    ----------
    path
        The file, NumPy's npz with a digest of its contents; nothing in it is unpickled.
    identity
        JSON of all that determines states and records. A file of another identity is refused.
    """

    path: Path
    identity: str

    def __post_init__(self) -> None:
        self._saved = time.monotonic()

    def load(self) -> tuple[int, dict[str, NDArray[Any]]] | None:
        """The grid index and the arrays of the saved run, None where there is no file.

        Raises `ResultFileError` for a damaged file and `InvalidInputError` for one of another run.
        """
        if not self.path.exists():
            return None
        try:
            with open(self.path, "rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as content:
                if str(content["format"]) != _FORMAT:
                    raise ValueError(f"its format is {content['format']}")
                identity, digest, step = str(content["identity"]), str(content["digest"]), int(content["step"])
                arrays = {name: content[name] for name in content.files if name.startswith("array:")}
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise ResultFileError(
                f"{self.path} is no readable checkpoint ({error}); expected {_FORMAT}, or another path"
            ) from None
        if digest != _digest(identity, step, arrays):
            raise ResultFileError(f"{self.path} is damaged: its digest differs; expected it as it was written")
        if identity != self.identity:
            raise InvalidInputError(
                f"{self.path} belongs to another run ({first_difference(identity, self.identity)}); "
                "expected the same arguments, or another checkpoint"
            )
        return step, {name.removeprefix("array:"): values for name, values in arrays.items()}

    def is_due(self) -> bool:
        """Whether the last save, or the start, is half a minute ago."""
        return time.monotonic() - self._saved >= _INTERVAL

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Replace the file in one step. Raises `OutputError` where it cannot be written."""
        content = {f"array:{name}": values for name, values in arrays.items()}
        digest = _digest(self.identity, step, content)
        with atomic_path(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, format=_FORMAT, identity=self.identity, digest=digest, step=step, **content)  # type: ignore[arg-type]
        self._saved = time.monotonic()


def _digest(identity: str, step: int, arrays: Mapping[str, NDArray[Any]]) -> str:
    found = hashlib.sha256(f"{identity}\n{step}".encode())
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {values.dtype.str} {values.shape}".encode())
        found.update(values.data)
    return found.hexdigest()


@contextlib.contextmanager
def interruptible(*, wait: bool) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets instead of raising wherever the run is; the second one raises.

    It stays unset without ``wait``, in threads other than the main one, which Ctrl-C does not reach, and where the
    host has a handler of its own, which is respected.
    """
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if not wait or not in_main or before is not signal.default_int_handler:
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
