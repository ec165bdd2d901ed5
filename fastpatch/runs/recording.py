"""What a run records: which observables at which steps, and the fields it keeps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.equilibrium import FITTED_SHELLS
from ..errors import BackendUnavailableError, InvalidInputError
from ..fingerprints import fingerprint
from ..process import VPSchedule
from ..validation import integer, real_array
from .dimensions import model_arrays, own_coordinates, sizes_of
from .observables import Observable, ObservableName, chosen_observables
from .setup import Setup

__all__ = ["Recording"]


@dataclass(frozen=True)
class Recording:
    """Checked once, and taken whole by the buffer that fills and the dataset that comes of it.

    Attributes
    ----------
    fused
        Names of observables that engines measure themselves.
    others
        Those that are lent every recorded state.
    every
        Steps between two records.
    steps
        Grid indices at which observables are taken, the last one among them.
    kept
        Grid indices whose fields are kept.
    sizes
        Lengths of the dataset's dimensions; of those of observables only where a coordinate gives it.
    coordinates
        Those that observables bring along, variables of xarray.
    """

    fused: tuple[str, ...]
    others: tuple[Observable, ...]
    every: int
    steps: tuple[int, ...]
    kept: tuple[int, ...]
    sizes: Mapping[str, int]
    coordinates: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        setup: Setup,
        observables: Sequence[ObservableName | Callable[[NDArray[Any], float], ArrayLike] | Observable] | None,
        record_every: int,
        snapshots: int | ArrayLike,
    ) -> "Recording":
        """Check the arguments of `fastpatch.simulate`, which raises as this does."""
        fused, others = chosen_observables(observables)
        missing = [n for n in (0, *FITTED_SHELLS) if n not in setup.shells]
        if missing and "xi_eq" in fused:
            raise InvalidInputError(f"shells is {setup.shells.tolist()}; expected 0, 1, 2 and 3 among them")
        if others and setup.backend == "dask":
            raise BackendUnavailableError(
                f"backend 'dask' holds no field in one piece for observable {others[0].name!r}; "
                "expected some of xi_x, mode_derivative, xi_eq and magnetization"
            )
        every = integer(record_every, "record_every", minimum=1)
        kept = _snapshot_steps(snapshots, setup.times, setup.model.schedule)
        steps = (*range(0, setup.last, every), setup.last)
        arrays = model_arrays(setup.model)
        sizes = sizes_of(setup, len(steps), len(kept), arrays)
        coordinates = own_coordinates(others, setup.shape, sizes, arrays)
        return cls(fused, others, every, steps, tuple(kept), sizes, coordinates)

    @property
    def lengths(self) -> bool:
        """Whether xi_x and the magnetization, which come of one pass over a field, are wanted."""
        return not {"xi_x", "magnetization"}.isdisjoint(self.fused)

    @property
    def derivatives(self) -> bool:
        """Whether the mode derivatives are wanted, for themselves or for xi_eq."""
        return not {"mode_derivative", "xi_eq"}.isdisjoint(self.fused)

    def identity(self, setup: Setup) -> dict[str, Any]:
        """JSON values of all that determines the records of these trajectories."""
        return {
            "records": [list(self.steps), list(self.kept), setup.shells.tolist(), setup.diagonal],
            "observables": [*self.fused, *([observable.name, *observable.axes] for observable in self.others)],
            **{
                f"the function of observable {observable.name!r}": fingerprint(observable.function)
                for observable in self.others
                if not observable.is_built_in
            },
        }


def _snapshot_steps(snapshots: int | ArrayLike, times: NDArray[np.float64], schedule: VPSchedule) -> list[int]:
    """Grid indices of the fields to keep."""
    if np.ndim(snapshots) == 0:
        count = min(integer(snapshots, "snapshots", minimum=0), len(times))
        alpha = schedule.alpha(times)
        wanted = np.linspace(alpha[0], alpha[-1], count)
        # At least as far along the grid as the last one and one more, and leaving as many as are still to come.
        kept: list[int] = []
        for place, level in enumerate(wanted):
            nearest = int(np.abs(alpha - level).argmin())
            kept.append(min(max(nearest, kept[-1] + 1 if kept else 0), len(times) - count + place))
        return kept
    wanted = real_array(snapshots, "snapshots")
    if wanted.ndim != 1 or not ((wanted >= times[-1]) & (wanted <= times[0])).all():
        raise InvalidInputError(
            f"snapshots is {wanted.tolist()}; expected a number or times from {times[-1]} to {times[0]}"
        )
    nearest = np.abs(np.log(wanted)[:, None] - np.log(times)).argmin(axis=1)
    return sorted({int(k) for k in nearest})
