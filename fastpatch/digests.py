"""A digest at the end of a file, by which damage is told from data.

HDF5 files are read as far as their own length says, and ZIP archives (NumPy's npz, torch's checkpoints) may end with a
comment: so the last 82 bytes of either can hold the SHA-256 of all before them, and every other program still reads it.
"""

import hashlib
import io
import re
from pathlib import Path
from typing import BinaryIO

__all__ = ["append_digest", "check_digest"]

_MARK = b"fastpatch-sha256:"
# Whole; or damaged or cut off itself.
_DIGEST = re.compile(rb"fastpatch-sha256:([0-9a-f]{64})\n")
_BROKEN = re.compile(rb"fastpatch-sha256:|fastpatch-s[ha256]*\Z|[0-9a-f]{64}\n\Z")
_LENGTH = len(_MARK) + 65

_ZIP_END = b"PK\x05\x06"
_ZIP_END_LENGTH = 22


def append_digest(path: Path) -> None:
    """End a complete HDF5 file or ZIP archive without a comment with its digest, in place."""
    with path.open("r+b") as file:
        size = file.seek(0, io.SEEK_END)
        if size >= _ZIP_END_LENGTH:
            file.seek(-_ZIP_END_LENGTH, io.SEEK_END)
            end = file.read()
            if end.startswith(_ZIP_END) and end.endswith(b"\0\0"):
                file.seek(-2, io.SEEK_END)
                file.write(_LENGTH.to_bytes(2, "little"))
        found = _sha256(file, size)
        file.seek(0, io.SEEK_END)
        file.write(_MARK + found.encode() + b"\n")


def check_digest(path: Path) -> None:
    """Raise `ValueError` where the digest at the end of ``path`` is not whole or not that of the rest.

    A file without one is accepted: earlier versions and other programs write them.
    """
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - _LENGTH))
        end = file.read()
        found = _DIGEST.fullmatch(end)
        if found is None and _BROKEN.search(end):
            raise ValueError("the digest at its end is not whole")
        if found is not None and found[1].decode() != _sha256(file, size - _LENGTH):
            raise ValueError("its SHA-256 is not the one at its end")


def _sha256(file: BinaryIO, size: int) -> str:
    """That of the first ``size`` bytes."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (block := file.read(min(size, 2**20))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()
