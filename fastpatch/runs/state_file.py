"""The file of a run's state, and what must be true of a state from which a run is to go on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_path
from ..digests import append_digest
from ..errors import InvalidInputError, ResultFileError
from ..npz_file import read_npz

__all__ = ["check_state", "first_difference", "read_state", "write_state"]

_FORMAT = "fastpatch-state-1"


def write_state(path: Path, x: NDArray[Any], step: int, time: float, identity: str) -> None:
    """Write a state with its digest, replacing ``path`` only when it is complete; `OutputError` where that fails."""
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, format=_FORMAT, x=x, step=step, time=time, identity=identity)
        append_digest(temporary)


def read_state(path: Path) -> tuple[NDArray[Any], int, float, str]:
    """Fields, step, time and identity of a stored state; nothing is unpickled.

    Raises `ResultFileError` for a file that is missing, damaged, or holds anything but such arrays.
    """
    if not path.is_file():
        raise ResultFileError(f"{path} is {'no file' if path.exists() else 'not there'}; expected a checkpoint")
    try:
        found = read_npz(path)
        if str(found.get("format", _FORMAT)) != _FORMAT:
            raise ResultFileError(f"{path} has format {found['format']}; expected {_FORMAT}")
        missing = [name for name in ("format", "x", "step", "time", "identity") if name not in found]
        if missing:
            raise ValueError(f"it holds no {missing[0]}")
        for name, kinds in (("step", "iu"), ("time", "f"), ("identity", "U")):
            if found[name].ndim or found[name].dtype.kind not in kinds:
                raise ValueError(f"{name} has shape {found[name].shape} and dtype {found[name].dtype}")
    except ValueError as error:
        raise ResultFileError(f"{path} is not a readable checkpoint ({error}); expected {_FORMAT}") from None
    return found["x"], found["step"].item(), found["time"].item(), found["identity"].item()


def check_state(
    x: Any, step: Any, time: Any, shape: tuple[int, int, int], dtype: np.dtype[Any], times: NDArray[np.float64]
) -> None:
    """Raise `InvalidInputError` unless a run of states of ``shape`` and ``dtype`` on the grid ``times`` can have these.

    Refused are fields of another shape or precision or not finite, a step outside the grid, and a time other than
    that of the step.
    """
    last = len(times) - 1
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or not 0 <= step <= last:
        raise InvalidInputError(f"start is at step {step!r}; expected a whole number from 0 to {last}")
    if time != times[step]:
        raise InvalidInputError(f"start is at time {time!r} and step {step}; expected {times[step]}")
    if not isinstance(x, np.ndarray) or x.shape != shape or x.dtype != dtype:
        found = f"shape {np.shape(x)} and dtype {getattr(x, 'dtype', type(x).__name__)}"
        raise InvalidInputError(f"start has fields of {found}; expected {shape} and {dtype}")
    if not np.isfinite(x).all():
        raise InvalidInputError("start has fields that are not finite; expected those of a run")


def first_difference(found: object, expected: str) -> str:
    """In words, the first thing in which an identity, of whatever origin, differs from the ``expected`` one."""
    try:
        theirs = json.loads(found) if isinstance(found, str) else None
    except (ValueError, RecursionError):
        theirs = None
    if not isinstance(theirs, dict):
        return "its identity is none"
    # What fits into a sentence comes first, and digests and lists last: other steps are other records, too.
    different = [(key, theirs.get(key), ours) for key, ours in json.loads(expected).items() if theirs.get(key) != ours]
    for key, other, ours in sorted(different, key=lambda one: (isinstance(one[2], list), "sha256" in one[0])):
        if isinstance(other, dict) and isinstance(ours, dict):
            part = next(name for name in [*ours, *other] if other.get(name) != ours.get(name))
            key, other, ours = f"{part} of the {key}", other.get(part), ours.get(part)
        return f"{key} is {_shortened(other)} in the checkpoint and {_shortened(ours)} here"
    return "another format"


def _shortened(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:50]} ..."
