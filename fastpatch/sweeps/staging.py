"""A finished point on disk, until its shard is complete."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_path
from .layout import VARIABLES

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["read_staged", "write_staged"]


def write_staged(path: Path, result: "xr.Dataset") -> None:
    """Write what a sweep keeps of the result of one point; `OutputError` where that fails."""
    arrays = {name: result[name].to_numpy() for name in VARIABLES if name in result.variables}
    with atomic_path(path, follow_links=False) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays, provenance=result.attrs["provenance"])


def read_staged(path: Path) -> dict[str, NDArray[Any]] | None:
    """The variables of a staged point; None if the file is missing or damaged. Nothing in it is unpickled."""
    try:
        # Opened here, for NumPy leaves a damaged file open.
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as content:
            return {name: content[name] for name in VARIABLES}
    # A flipped bit may meet any layer of ZIP and NumPy's formats, each with exceptions of its own.
    except Exception:
        return None
