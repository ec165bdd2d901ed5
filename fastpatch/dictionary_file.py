"""A dictionary of patterns in a file: NumPy's npz with ``patterns`` and ``prior``, as anybody can write it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FastpatchError, ResultFileError
from .messages import reason

__all__ = ["read_patterns"]

_EXPECTED = "expected an npz file with patterns (K, P, P) and, unless it is uniform, prior (K,)"


def read_patterns(path: str | Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The arrays ``patterns`` and ``prior`` (None where it is missing) of an npz file; nothing is unpickled.

    Raises `ResultFileError` for a file that is missing, damaged, or holds no such arrays.
    """
    source = Path(path)
    if not source.is_file():
        raise ResultFileError(f"{source} is {'no file' if source.exists() else 'not there'}; {_EXPECTED}")
    try:
        with source.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as content:
            return content["patterns"], content["prior"] if "prior" in content.files else None
    except FastpatchError:
        raise
    # A damaged file may meet any layer of ZIP and NumPy's formats, each with exceptions of its own.
    except Exception as error:
        raise ResultFileError(f"{source} is no dictionary of patterns ({reason(error)}); {_EXPECTED}") from None
