"""Arrays that a long comparison keeps on disk as it goes, so that it can be interrupted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_path

__all__ = ["KeptParts"]


class KeptParts:
    """Named parts of one problem in a folder; those of another are computed anew. Without a folder none is kept."""

    def __init__(self, folder: Path | None, problem: str) -> None:
        self._folder, self._problem = folder, problem

    def get(self, name: str, compute: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        """The arrays of a part, from its file or computed and kept."""
        if self._folder is None:
            return compute()
        file = self._folder / f"{''.join(letter if letter.isalnum() else '-' for letter in name)}.npz"
        found = self._read(file)
        if found is None:
            found = compute()
            with atomic_path(file) as temporary, temporary.open("wb") as target:
                np.savez(target, allow_pickle=False, problem=np.array(self._problem), **found)
        return found

    def _read(self, file: Path) -> dict[str, NDArray[Any]] | None:
        if not file.is_file():
            return None
        try:
            with np.load(file) as saved:
                if str(saved["problem"]) != self._problem:
                    return None
                return {name: saved[name] for name in saved.files if name != "problem"}
        except (OSError, ValueError, KeyError, EOFError):
            return None
