"""Locks by which processes tell that another one is at work; the system releases them when it ends, however it does."""

import os
import stat
import sys
from pathlib import Path

if sys.platform != "win32":  # where nothing is locked, and nothing is known to be free
    import fcntl

__all__ = ["is_free", "open_regular", "take"]


def open_regular(path: Path, flags: int) -> int:
    """The descriptor of a regular file that is neither followed to nor waited for; `OSError` for all else."""
    if path.is_symlink():
        raise OSError(0, "it is a link")
    # Neither flag is known to Windows, which has no such files either.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is not a regular file")
    return descriptor


def take(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file; False if another process, or this one through another descriptor, holds the lock."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def is_free(descriptor: int) -> bool:
    """Whether it is certain that nobody else holds the lock of an open file, which this takes."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
