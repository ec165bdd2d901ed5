"""Parts of a long measurement in a directory: the same call, after a stop, makes only those that are missing."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .atomic import atomic_path, writable_directory
from .errors import InvalidInputError, ResultFileError
from .identity import differences
from .messages import reason
from .npz_file import read_npz, write_npz

__all__ = ["KeptParts", "remove_parts"]

Arrays = Mapping[str, NDArray[Any]]

_MANIFEST = "parts.json"


class KeptParts:
    """Named parts, each some arrays, in a file of its own that is complete or absent.

    Parameters
    ----------
    directory
        Of this measurement alone; created if need be, its record with the first part. None keeps nothing.
    identity
        Everything on which the parts depend, as JSON values.
    what
        What they are parts of, for messages.

    Raises `InvalidInputError` where the directory holds parts of another identity, `ResultFileError` where its record
    of it is not readable, `OutputError` where it cannot be written.
    """

    def __init__(self, directory: str | Path | None, identity: Mapping[str, Any], what: str = "measurement") -> None:
        self.directory = None if directory is None else writable_directory(directory)
        self._what, self._identity = what, json.dumps(dict(identity), indent=1, sort_keys=True)
        # Without a part, the record of another measurement says nothing: it failed before its first one.
        if self.directory is None or not any(self.directory.glob("*.npz")):
            return
        manifest = self.directory / _MANIFEST
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))
            unlike = differences(found, json.loads(self._identity))
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise ResultFileError(
                f"{manifest} is not readable ({reason(error)}); expected the record of a {what}, or another directory"
            ) from None
        if unlike:
            raise InvalidInputError(
                f"{self.directory} holds parts of another {what}, with {unlike[0]}; expected the same {what}, or "
                "another directory"
            )

    def part(self, name: str, make: Callable[[], Arrays]) -> dict[str, NDArray[Any]]:
        """The arrays of a part: read where it is there, else made and kept.

        Raises `ResultFileError` for a file that is damaged, and what ``make`` raises.
        """
        if self.directory is None:
            return dict(make())
        path = self.directory / f"{name}.npz"
        if not path.exists():
            arrays = make()
            if not any(self.directory.glob("*.npz")):
                with atomic_path(self.directory / _MANIFEST) as temporary:
                    temporary.write_text(self._identity, encoding="utf-8")
            write_npz(path, arrays, compress=True)
        try:
            return read_npz(path)
        except ValueError as error:
            raise ResultFileError(
                f"{path} is damaged ({error}); expected a part of this {self._what}, which is made again where "
                "the file is removed"
            ) from None


def remove_parts(directory: str | Path) -> None:
    """Remove what `KeptParts` wrote into a directory and those in it, and these where nothing else is in them."""
    for manifest in Path(directory).glob(f"**/{_MANIFEST}"):
        for path in (*manifest.parent.glob("*.npz"), manifest):
            path.unlink(missing_ok=True)
    for folder in sorted([*Path(directory).glob("**/"), Path(directory)], reverse=True):
        with suppress(OSError):  # something else is in it
            folder.rmdir()
