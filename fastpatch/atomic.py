"""Files that are either complete or absent."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError

__all__ = ["atomic_path", "writable_directory"]


@contextmanager
def atomic_path(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends well, and vanishes otherwise.

    A ``durable`` file is on the disk before it replaces another one, should the machine lose its power.
    Raises `OutputError` where the directory cannot be written or the disk is full.
    """
    target = Path(path)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
        os.close(descriptor)
    except OSError as error:
        raise OutputError(f"{target} cannot be written ({error.strerror}); expected a writable directory") from None
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a result is an ordinary file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or str(error)
        raise OutputError(f"{target} could not be written: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def writable_directory(path: str | Path) -> Path:
    """Create ``path`` if need be and prove that a file can be written there; `OutputError` otherwise."""
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise OutputError(f"{directory} cannot be written ({error.strerror}); expected a writable directory") from None
    return directory
