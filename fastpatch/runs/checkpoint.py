"""A run on its way, states and records together, in one file from which the same call goes on."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_path
from ..digests import append_digest
from ..errors import InvalidInputError, ResultFileError
from ..messages import reason
from ..npz_file import read_npz
from .state_file import first_difference

__all__ = ["RunCheckpoint", "interruptible"]

_FORMAT = "fastpatch-run-2"
_ARRAY = "array:"

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
            content = read_npz(self.path)
            if str(content.get("format")) != _FORMAT:
                raise ValueError(f"its format is {content.get('format')}")
            identity, step = str(content["identity"]), int(content["step"])
        except (ValueError, KeyError, TypeError) as error:
            raise ResultFileError(
                f"{self.path} is no readable checkpoint ({reason(error)}); expected {_FORMAT}, or another path"
            ) from None
        if identity != self.identity:
            raise InvalidInputError(
                f"{self.path} belongs to another run ({first_difference(identity, self.identity)}); "
                "expected the same arguments, another checkpoint (--out), or the file removed"
            )
        return step, {name.removeprefix(_ARRAY): values for name, values in content.items() if name.startswith(_ARRAY)}

    def is_due(self) -> bool:
        """Whether the last save, or the start, is half a minute ago."""
        return time.monotonic() - self._saved >= _INTERVAL

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Replace the file in one step. Raises `OutputError` where it cannot be written."""
        content: dict[str, Any] = {_ARRAY + name: values for name, values in arrays.items()}
        with atomic_path(self.path) as temporary:
            with temporary.open("wb") as file:
                np.savez(file, format=_FORMAT, identity=self.identity, step=step, **content)
            append_digest(temporary)
        self._saved = time.monotonic()


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
