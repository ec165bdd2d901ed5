"""A dictionary of patterns in a file: NumPy's npz with ``patterns`` and ``prior``, as anybody can write it."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .errors import ResultFileError
from .messages import reason
from .npz_file import read_npz

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
        content = read_npz(source)
        if "patterns" not in content:
            raise ValueError(f"it holds {', '.join(content) or 'nothing'}")
    except ValueError as error:
        raise ResultFileError(f"{source} is no dictionary of patterns ({reason(error)}); {_EXPECTED}") from None
    return content["patterns"], content.get("prior")
