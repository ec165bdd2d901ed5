"""Density of domain walls: how often neighbouring sites differ in sign."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .correlation import signed_field

__all__ = ["domain_wall_density"]


def domain_wall_density(field: ArrayLike) -> Any:
    """Share of the nearest-neighbour bonds of a periodic lattice whose two sites differ in sign, float64 (...,).

    0 for a uniform field, 1/2 for uncorrelated signs of either kind, 1 for a checkerboard, 1 / (2 w) for stripes of
    width w along an axis; sign(0) := +1. Twice its value is the length of wall per site, and the nearest-neighbour
    correlation of the signs is one less twice its value.

    ``field`` is an array (..., L1, L2) of finite values, float32, float64, integer or boolean (true as +1, false as
    -1). Every site has one bond along either axis; along a side of one site that is a bond with itself, which is never
    a wall. Raises `DtypeError` or `InvalidInputError` for any other field.
    """
    values = signed_field(field)
    negative = values < 0.0
    walls = sum(np.count_nonzero(negative != np.roll(negative, 1, axis=axis), axis=(-2, -1)) for axis in (-2, -1))
    return (np.asarray(walls) / (2 * values.shape[-2] * values.shape[-1]))[()]
