"""Dimensions and coordinates of a run's dataset, known and checked before its first step."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..models.base import Model
from .observables import RESERVED, Observable
from .setup import Setup

__all__ = ["Arrays", "model_arrays", "own_coordinates", "sizes_of"]

Arrays = dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]


def model_arrays(model: Model) -> Arrays:
    """The arrays that define a model, by name; none of a model that names none."""
    found: Arrays = getattr(model, "arrays", dict)()
    return found


def sizes_of(setup: Setup, records: int, kept: int, arrays: Arrays) -> dict[str, int]:
    """Length of every dimension of a dataset of ``records`` times and ``kept`` fields, but those of observables."""
    sizes = {
        "trajectory": setup.trajectories,
        "time": records,
        "snapshot_time": kept,
        "y": setup.shape[0],
        "x": setup.shape[1],
        "shell": setup.shells.size,
        "direction": setup.directions,
    }
    for dims, values in arrays.values():
        sizes |= zip(dims, np.shape(values), strict=True)
    return sizes


def own_coordinates(
    observables: Sequence[Observable], shape: tuple[int, int], sizes: dict[str, int], arrays: Arrays
) -> dict[str, Any]:
    """The coordinates that observables bring along, variables of xarray; their lengths are added to ``sizes``.

    Raises `InvalidInputError` for a name that the dataset has already, and for coordinates that cannot be had or do not
    fit.
    """
    taken = {*RESERVED, *arrays, *(observable.name for observable in observables)}
    found: dict[str, Any] = {}
    for observable in observables:
        name = observable.name
        if name in arrays or name in sizes:
            raise InvalidInputError(f"an observable is called {name!r}, which is taken; expected another")
        for dim in observable.axes:
            if dim in taken - sizes.keys():
                raise InvalidInputError(f"observable {name!r} has dimension {dim!r}, which is taken; expected another")
        for label, values in _coordinates(observable, shape).items():
            if label in taken or (label in found and not values.identical(found[label])):
                raise InvalidInputError(
                    f"observable {name!r} has coordinate {label!r}, which is taken; expected another"
                )
            for dim, length in zip(map(str, values.dims), values.shape, strict=True):
                if sizes.setdefault(dim, length) != length:
                    raise InvalidInputError(
                        f"coordinate {label!r} of observable {name!r} has {length} values along {dim}; "
                        f"expected {sizes[dim]}"
                    )
            found[label] = values
    return found


def _coordinates(observable: Observable, shape: tuple[int, int]) -> dict[str, Any]:
    if observable.coordinates is None:
        return {}
    import xarray as xr

    try:
        given: dict[str, Any] = dict(observable.coordinates(shape))
        return {str(name): found.variable for name, found in xr.Dataset(coords=given).coords.items()}
    except Exception as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InvalidInputError(
            f"the coordinates of observable {observable.name!r} raised {words}; expected {{name: (dims, values)}}"
        ) from error
