"""The state of a run at one time, its file, and what must be true of one from which a run is to go on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic import atomic_path
from .digests import append_digest, check_digest
from .errors import DtypeError, InvalidInputError, ResultFileError
from .messages import reason

__all__ = ["State", "check_start"]

_FORMAT = "fastpatch-state-1"


@dataclass(frozen=True, eq=False)
class State:
    """A batch of trajectories at one time.

    Attributes
    ----------
    x : (trajectories, L1, L2)
        The fields, a copy that the caller owns.
    step : int
        Index into the time grid.
    time : float
        Diffusion time, ``times[step]``.
    identity : str
        JSON of all that determines the run; a run is only resumed by the one it belongs to.
    """

    x: NDArray[Any]
    step: int
    time: float
    identity: str

    def save(self, path: str | Path) -> None:
        """Write a checkpoint (NumPy's npz) with its digest, replacing ``path`` only when it is complete.

        Raises `OutputError` where the path cannot be written.
        """
        with atomic_path(path) as temporary:
            with temporary.open("wb") as file:
                np.savez(file, format=_FORMAT, x=self.x, step=self.step, time=self.time, identity=self.identity)
            append_digest(temporary)

    @classmethod
    def load(cls, path: str | Path) -> "State":
        """Read a checkpoint; nothing in it is unpickled.

        Raises `ResultFileError` if it is missing, damaged, or holds anything but the arrays of a state. Whether these
        belong to some run is asked where one goes on from them.
        """
        source = Path(path)
        if not source.is_file():
            raise ResultFileError(f"{path} is {'no file' if source.exists() else 'not there'}; expected a checkpoint")
        try:
            check_digest(source)
            # NpzFile itself rather than np.load, which would take a plain array, too.
            with source.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as content:
                if str(content["format"]) != _FORMAT:
                    raise ResultFileError(f"{path} has format {content['format']}; expected {_FORMAT}")
                return cls._of({name: content[name] for name in ("x", "step", "time", "identity")})
        except ResultFileError:
            raise
        # A flipped bit may meet any layer of ZIP and NumPy's formats, each with exceptions of its own.
        except Exception as error:
            why = reason(error)
            raise ResultFileError(f"{path} is not a readable checkpoint ({why}); expected {_FORMAT}") from None

    @classmethod
    def _of(cls, found: dict[str, NDArray[Any]]) -> "State":
        """The state of stored arrays; `ValueError` for what is none."""
        for name, kinds in (("step", "iu"), ("time", "f"), ("identity", "U")):
            if found[name].ndim or found[name].dtype.kind not in kinds:
                raise ValueError(f"{name} has shape {found[name].shape} and dtype {found[name].dtype}")
        return cls(found["x"], found["step"].item(), found["time"].item(), found["identity"].item())


def check_start(
    start: State, identity: str, shape: tuple[int, int, int], dtype: np.dtype[Any], times: NDArray[np.float64]
) -> None:
    """Raise unless the run of this ``identity``, with states of ``shape`` and ``dtype``, can go on from ``start``.

    Raises `DtypeError` for what is no `State`, and `InvalidInputError` for one of another run, fields of another shape
    or precision or not finite, a step outside the grid ``times``, and a time other than that of the step.
    """
    if not isinstance(start, State):
        raise DtypeError(f"start is a {type(start).__name__}; expected a State, which `State.load` reads from a file")
    if start.identity != identity:
        raise InvalidInputError(
            f"start belongs to another run ({_first_difference(start.identity, identity)}); "
            "expected a state of a run with the same model, grid, seed and precision"
        )
    step, last = start.step, len(times) - 1
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or not 0 <= step <= last:
        raise InvalidInputError(f"start is at step {step!r}; expected a whole number from 0 to {last}")
    if start.time != times[step]:
        raise InvalidInputError(f"start is at time {start.time!r} and step {step}; expected {times[step]}")
    if not isinstance(start.x, np.ndarray) or start.x.shape != shape or start.x.dtype != dtype:
        found = f"shape {np.shape(start.x)} and dtype {getattr(start.x, 'dtype', type(start.x).__name__)}"
        raise InvalidInputError(f"start has fields of {found}; expected {shape} and {dtype}")
    if not np.isfinite(start.x).all():
        raise InvalidInputError("start has fields that are not finite; expected those of a run")


def _first_difference(found: object, expected: str) -> str:
    try:
        theirs = json.loads(found) if isinstance(found, str) else None
    except (ValueError, RecursionError):
        theirs = None
    if not isinstance(theirs, dict):
        return "its identity is none"
    for key, ours in json.loads(expected).items():
        if theirs.get(key) != ours:
            return f"{key} is {theirs.get(key)} in the checkpoint and {ours} here"
    return "another format"
