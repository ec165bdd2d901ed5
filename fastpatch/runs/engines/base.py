"""What a run asks of an engine, and what engines share."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...analysis.correlation_length import correlation_length
from ...errors import InvalidInputError

__all__ = ["Engine", "HostStates", "observe", "require_finite"]


class Engine(Protocol):
    """A batch of trajectories on their way down the time grid."""

    step: int

    @property
    def x(self) -> Any:
        """The states (T, L1, L2), an array."""

    @property
    def least_steps(self) -> int:
        """Steps below which a call of `advance` is not worth it."""

    def advance(self, records: NDArray[np.int64], fields: Any) -> NDArray[np.float64]:
        """Take ``len(records)`` steps, recording on the way.

        Where ``records[s]`` is r >= 0, the state before the s-th of these steps is copied to ``fields[r]``
        (T, L1, L2), in a NumPy array or in what `space` gave. Returns lambda (len(fields), T, n_shells, directions)
        of those states.
        """

    def space(self, count: int) -> Any:
        """Room for ``count`` recorded states or more, where the engine works best with them; `measure` may reuse it."""

    def gallery(self, count: int) -> Any:
        """Room for ``count`` fetched states, an array (T, count, L1, L2)."""

    def present(self) -> Any:
        """The present states as a recorded one, (1, T, L1, L2)."""

    def observe(self, fields: Any, rows: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """xi_x and magnetization (len(rows), T) of some of the recorded states."""

    def fetch(self, fields: Any, row: int) -> Any:
        """One of the recorded states (T, L1, L2), an array."""

    def measure(self) -> NDArray[np.float64]:
        """lambda (T, n_shells, directions) of the present state."""


class HostStates:
    """What becomes of recorded states that are NumPy arrays."""

    x: NDArray[Any]
    least_steps = 1

    def gallery(self, count: int) -> NDArray[Any]:
        return np.empty((len(self.x), count, *self.x.shape[1:]), dtype=self.x.dtype)

    def space(self, count: int) -> NDArray[Any]:
        return np.empty((count, *self.x.shape), dtype=self.x.dtype)

    def present(self) -> NDArray[Any]:
        return self.x[None]

    def observe(self, fields: NDArray[Any], rows: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return observe(fields[rows] if len(rows) < len(fields) else fields)

    def fetch(self, fields: NDArray[Any], row: int) -> NDArray[Any]:
        return np.asarray(fields[row])


def observe(fields: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """xi_x and the spatial mean of fields (..., L1, L2); raises what `require_finite` raises."""
    # A sum of infinities of both signs is no number, which needs no warning besides.
    with np.errstate(invalid="ignore"):
        means = np.asarray(fields.mean(axis=(-2, -1), dtype=np.float64))
    require_finite(means)
    return np.asarray(correlation_length(fields)), means


def require_finite(means: NDArray[np.float64]) -> None:
    """Raise `InvalidInputError` for states that have diverged, by their means."""
    if not np.isfinite(means).all():
        raise InvalidInputError(
            "the states have diverged to NaN or infinite values; "
            "expected shorter steps, with |dt| beta / sigma^2 well below 1"
        )
