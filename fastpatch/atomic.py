"""Files that are either complete or absent, and what killed processes leave of those that they were writing.

A file under way has a name of its own, ``.fastpatch-`` and 16 hexadecimal digits, and is locked by the process that
writes it: so it can be told from everybody else's files, and from those that are still being written.
"""

import errno
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError
from .locks import is_free, open_regular, take

__all__ = ["atomic_path", "exclusive_directory", "is_leftover", "remove_leftovers", "writable_directory"]

_UNDER_WAY = re.compile(r"\.fastpatch-[0-9a-f]{16}(\.[^.]+)?")

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link that leads nowhere",
}


@contextmanager
def atomic_path(path: str | Path, *, durable: bool = True, follow_links: bool = True) -> Iterator[Path]:
    """A temporary path that replaces ``path`` when the block ends well, and vanishes otherwise.

    A new file has the permissions of any other, and one that is replaced keeps its own. Where ``path`` is a symbolic
    link, the file that it leads to is replaced and the link stays; with ``follow_links=False`` it is refused. A
    ``durable`` file is on the disk before it replaces another one, should the machine lose its power.

    Raises `OutputError` where the directory cannot be written or the disk is full, for a file that is write-protected,
    and for what is no regular file: devices, named pipes and sockets are never replaced.
    """
    target, mode = _replaceable(Path(path), follow_links)
    try:
        temporary, descriptor = _create(target, private=mode is not None)
    except OSError as error:
        raise OutputError(f"{target} cannot be written ({error.strerror}); expected a writable directory") from None
    try:
        yield temporary
        if mode is not None:
            temporary.chmod(mode)
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
        if descriptor is not None:
            os.close(descriptor)


def writable_directory(path: str | Path) -> Path:
    """Create ``path`` if need be, prove that a file can be written there, and remove what killed processes left of one.

    Raises `OutputError` where none can.
    """
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise OutputError(f"{directory} cannot be written ({error.strerror}); expected a writable directory") from None
    remove_leftovers(directory)
    return directory


@contextmanager
def exclusive_directory(path: str | Path, use: str) -> Iterator[Path]:
    """A `writable_directory` from which every other process of this machine that asks for the same is kept out.

    The lock is on the file ``.lock`` in it, which goes in the end if it was not there before, and is otherwise left
    alone. Raises `OutputError` where another process holds it, naming the ``use`` that is made of the directory, where
    ``.lock`` is a link or no regular file, and where it cannot be opened. File systems without locks, and Windows,
    keep nobody out.
    """
    directory = writable_directory(path)
    lock = directory / ".lock"
    held, is_new = None, False
    while held is None:
        try:
            descriptor, is_new = _open_lock(lock)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and directory.is_dir():  # its owner has just removed it
                continue
            raise OutputError(
                f"{lock} cannot be locked ({error.strerror}); expected a directory of one's own"
            ) from None
        if not take(descriptor):
            os.close(descriptor)
            raise OutputError(f"{directory} is in use by another {use}; expected one at a time")
        if os.fstat(descriptor).st_nlink:
            held = descriptor
        else:  # its owner removed it before it was locked here
            os.close(descriptor)
    try:
        yield directory
    finally:
        if is_new:
            with suppress(OSError):
                lock.unlink()
        os.close(held)


def _open_lock(lock: Path) -> tuple[int, bool]:
    """The descriptor of a lock file, and whether it was made just now."""
    try:
        return open_regular(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL), True
    except FileExistsError:
        return open_regular(lock, os.O_RDWR), False


def is_leftover(path: Path) -> bool:
    """Whether the name is that of a file that was being written, whoever did and whether they still are."""
    return _UNDER_WAY.fullmatch(path.name) is not None


def remove_leftovers(directory: Path) -> None:
    """Remove the files in ``directory`` that processes were writing which have ended since."""
    with suppress(OSError):
        for path in filter(is_leftover, list(directory.iterdir())):
            with suppress(OSError):
                descriptor = open_regular(path, os.O_RDWR)
                try:
                    if is_free(descriptor):
                        path.unlink()
                finally:
                    os.close(descriptor)


def _replaceable(path: Path, follow_links: bool) -> tuple[Path, int | None]:
    """Where a file is to be put, and the permissions of the one that is there."""
    if path.is_symlink():
        if not follow_links:
            raise OutputError(f"{path} is a link; expected a regular file, or none")
        path = Path(os.path.realpath(path))
    try:
        found = path.lstat().st_mode
    except OSError:
        return path, None
    if not stat.S_ISREG(found):
        kind = _KINDS.get(stat.S_IFMT(found), "no file")
        raise OutputError(f"{path} is {kind}; expected a regular file, or none")
    # To root, every file is writable.
    if not (found & 0o222 and os.access(path, os.W_OK)):
        raise OutputError(f"{path} is write-protected; expected a file that may be replaced")
    return path, stat.S_IMODE(found)


def _create(target: Path, private: bool) -> tuple[Path, int | None]:
    """A new file beside ``target``, and the descriptor by which it is locked."""
    # The system takes the process's umask off; asking for it would change it for all threads.
    mode = 0o600 if private else 0o666
    while True:
        temporary = target.with_name(f".fastpatch-{secrets.token_hex(8)}{target.suffix}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        if os.name == "nt":  # which renames no open file
            os.close(descriptor)
            return temporary, None
        take(descriptor, wait=True)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # taken for a leftover before it was locked
