"""Dictionaries of one's own in a sweep: known by their digests, and kept in the sweep's directory for its workers."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import FastpatchError, InvalidInputError, ResultFileError
from .files import write

if TYPE_CHECKING:
    from ..dictionary import PatchDictionary

__all__ = ["keep_dictionary", "load_dictionary"]


# A worker computes many points of few dictionaries.
@lru_cache(maxsize=4)
def load_dictionary(path: Path | None, digest: str) -> "PatchDictionary":
    """The dictionary of this digest, from a file that holds it.

    Raises `InvalidInputError` where no file is known, and `ResultFileError` for one that cannot be read or holds
    another dictionary.
    """
    from ..dictionary import PatchDictionary

    if path is None:
        raise InvalidInputError(
            f"the patterns of the dictionary {digest[:12]} are not at hand; expected the path of an npz file"
        )
    dictionary = PatchDictionary.load(path)
    if dictionary.digest != digest:
        raise ResultFileError(
            f"{path} holds the dictionary {dictionary.digest[:12]}; expected {digest[:12]}, as when it was first read"
        )
    return dictionary


def keep_dictionary(source: Path, target: Path, digest: str) -> None:
    """Make ``target`` a copy of ``source``, unless it holds the dictionary of this digest already.

    The bytes are copied: prior probabilities that are normalised, written and normalised again may differ by rounding.
    Raises `ResultFileError` where ``source`` does not hold that dictionary, or no longer, and `OutputError` where the
    copy cannot be written.
    """
    # Not the cached one, which does not notice that a file was damaged since.
    load = load_dictionary.__wrapped__
    try:
        load(target, digest)
    except FastpatchError:
        load(source, digest)
        try:
            content = source.read_bytes()
        except OSError as error:
            raise ResultFileError(f"{source} cannot be read ({error.strerror}); expected a dictionary") from None
        write(target, content)
        load(target, digest)
