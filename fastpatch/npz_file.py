"""NumPy's npz files that end with a digest: written whole or not at all, and read without unpickling anything."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic import atomic_path
from .digests import append_digest, check_digest
from .messages import reason

__all__ = ["read_npz", "write_npz"]


def write_npz(
    path: Path, arrays: Mapping[str, NDArray[Any]], *, compress: bool = False, follow_links: bool = True
) -> None:
    """Write arrays, none of them named allow_pickle, by way of memory; `OutputError` where the file cannot be written.

    A full disk is then the OSError that `atomic_path` reports; ``follow_links`` is its.
    """
    content = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(content, **arrays)  # type: ignore[arg-type]
    with atomic_path(path, follow_links=follow_links) as temporary:
        temporary.write_bytes(content.getbuffer())
        append_digest(temporary)


def read_npz(path: Path, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """All arrays of a file, or those of these names.

    Raises `ValueError`, in one line, for a file that cannot be read, is damaged, or lacks a name.
    """
    try:
        check_digest(path)
        # Opened here, for NumPy leaves a damaged file open; NpzFile itself, for np.load would take a plain array, too.
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as content:
            return {name: content[name] for name in (content.files if names is None else names)}
    # A flipped bit may meet any layer of ZIP and NumPy's formats, each with exceptions of its own.
    except Exception as error:
        raise ValueError(reason(error)) from None
