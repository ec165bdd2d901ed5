"""Checks made once, at the public border; kernels trust what has passed here."""

import math
import operator
from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DtypeError, InvalidInputError

__all__ = [
    "boolean",
    "finite_array",
    "finite_float",
    "floating_dtype",
    "floating_field",
    "integer",
    "lattice_shape",
    "plain_array",
    "positive_time",
    "real_array",
    "shell_numbers",
    "sides",
    "time_grid",
]

_MOST_SHELLS = 65536

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def floating_dtype(dtype: Any) -> np.dtype[Any]:
    """float32 or float64 as a ``numpy.dtype``; `DtypeError` for anything else."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise DtypeError(f"dtype is {dtype!r}; expected 'float32' or 'float64'") from None
    # NetCDF-3 and FITS hold big-endian numbers.
    native = found.newbyteorder("=")
    if native not in _FLOATS:
        raise DtypeError(f"dtype is {found.name}; expected float32 or float64")
    return native


def plain_array(values: ArrayLike, name: str, *, missing: Literal["refused", "nan"] = "refused") -> NDArray[Any]:
    """``values`` as a plain array, in which a mask is not lost: `numpy.asarray` would give what lies under it.

    Masked entries, also of masked arrays in a list, become NaN with ``missing="nan"``, which makes integers float64;
    otherwise they raise `InvalidInputError`, as nested sequences of unequal lengths do.
    """
    try:
        if isinstance(values, list | tuple) and any(isinstance(part, np.ma.MaskedArray) for part in values):
            values = np.ma.array(values)
        found: NDArray[Any] = np.asarray(values)
    except ValueError:
        raise InvalidInputError(f"{name} is ragged; expected an array, all rows of one length") from None
    if not isinstance(values, np.ma.MaskedArray) or not np.ma.is_masked(values):
        return found
    mask = np.ma.getmaskarray(values)
    if missing == "refused":
        at = tuple(map(int, np.argwhere(mask)[0]))
        raise InvalidInputError(f"{name} is masked at index {at}; expected a value at every index")
    if found.dtype.kind not in "biuf":
        return found  # refused for its dtype
    kept = found if found.dtype.kind == "f" else found.astype(np.float64)
    return np.where(mask, kept.dtype.type(np.nan), kept)


def real_array(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """``values`` as a plain float64 array; `DtypeError` for what are no real numbers, and what `plain_array` raises."""
    found = plain_array(values, name)
    if found.dtype.kind not in "biuf":
        raise DtypeError(f"{name} has dtype {found.dtype.name}; expected real numbers")
    return found.astype(np.float64, copy=False)


def finite_array(values: ArrayLike, name: str, *, minimum_ndim: int = 0) -> NDArray[np.float64]:
    """``values`` as a new float64 array of finite numbers, with ``minimum_ndim`` of so many axes, none empty."""
    found = plain_array(values, name)
    if found.dtype.kind not in "iuf":
        raise DtypeError(f"{name} has dtype {found.dtype.name}; expected real numbers")
    if found.ndim < minimum_ndim or (minimum_ndim and found.size == 0):
        raise InvalidInputError(f"{name} has shape {found.shape}; expected at least {minimum_ndim} axes, none empty")
    numbers: NDArray[np.float64] = found.astype(np.float64)
    if not np.isfinite(numbers).all():
        at = tuple(map(int, np.argwhere(~np.isfinite(numbers))[0]))
        raise InvalidInputError(f"{name} holds {numbers[at]} at index {at}; expected finite numbers")
    return numbers


def floating_field(x: ArrayLike, name: str = "x", *, minimum_ndim: int = 2) -> NDArray[Any]:
    """``x`` as a native float32 or float64 array of finite values with at least ``minimum_ndim`` axes."""
    field = plain_array(x, name)
    native = field.dtype.newbyteorder("=")
    if native not in _FLOATS:
        raise DtypeError(f"{name} has dtype {field.dtype.name}; expected float32 or float64")
    field = field.astype(native, copy=False)
    if field.ndim < minimum_ndim or 0 in field.shape[-minimum_ndim:]:
        raise InvalidInputError(
            f"{name} has shape {field.shape}; expected at least {minimum_ndim} axes, the last {minimum_ndim} not empty"
        )
    if not np.isfinite(field).all():
        bad = np.argwhere(~np.isfinite(field))[0]
        raise InvalidInputError(
            f"{name} holds {field[tuple(bad)]} at index {tuple(map(int, bad))}; expected finite values"
        )
    return field


def integer(value: Any, name: str, *, minimum: int, maximum: int | None = None) -> int:
    """``value`` as an int in [minimum, maximum]; booleans and fractions are refused."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise DtypeError(f"{name} is {value!r}; expected an integer") from None
    if found < minimum or (maximum is not None and found > maximum):
        upper = "" if maximum is None else f" and at most {maximum}"
        # Python refuses to write out integers of thousands of digits.
        shown = str(found) if found.bit_length() < 1000 else f"an integer of {found.bit_length()} bits"
        raise InvalidInputError(f"{name} is {shown}; expected at least {minimum}{upper}")
    return found


def finite_float(value: Any, name: str) -> float:
    """``value`` as a finite Python float."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise DtypeError(f"{name} is {value!r}; expected a number") from None
    except OverflowError:
        raise InvalidInputError(f"{name} is an integer beyond 1e308; expected a finite number") from None
    if not math.isfinite(found):
        raise InvalidInputError(f"{name} is {found}; expected a finite number")
    return found


def boolean(value: Any, name: str) -> bool:
    """True or False, of Python or NumPy; `DtypeError` for anything else: the string "no" is true."""
    if not isinstance(value, bool | np.bool_):
        raise DtypeError(f"{name} is {value!r}; expected True or False")
    return bool(value)


def positive_time(t: Any) -> float:
    """A diffusion time in (0, inf) as a Python float."""
    found = finite_float(t, "t")
    if found <= 0.0:
        raise InvalidInputError(f"t is {found}; expected a diffusion time in (0, inf)")
    return found


def time_grid(times: ArrayLike) -> NDArray[np.float64]:
    """A strictly decreasing grid of at least two diffusion times in (0, inf), float64."""
    found = plain_array(times, "times")
    if found.dtype.kind not in "iuf":
        raise DtypeError(f"times is {times!r}; expected a sequence of numbers")
    grid: NDArray[np.float64] = found.astype(np.float64)
    if grid.ndim != 1 or grid.size < 2:
        raise InvalidInputError(f"times has shape {grid.shape}; expected one axis with at least two times")
    outside = ~(np.isfinite(grid) & (grid > 0.0))
    if outside.any():
        at = int(np.argmax(outside))
        raise InvalidInputError(f"times[{at}] is {grid[at]}; expected diffusion times in (0, inf)")
    rising = np.diff(grid) >= 0.0
    if rising.any():
        at = int(np.argmax(rising))
        raise InvalidInputError(
            f"times[{at}] = {grid[at]} is followed by {grid[at + 1]}; expected a strictly decreasing grid"
        )
    return grid


def lattice_shape(shape: Any) -> tuple[int, int]:
    """Two positive side lengths (L1, L2); one number stands for a square."""
    if np.ndim(shape) == 0 and not isinstance(shape, str):
        return (integer(shape, "shape", minimum=1),) * 2
    found = tuple(shape) if isinstance(shape, Sequence | np.ndarray) and not isinstance(shape, str) else (shape,)
    if len(found) != 2:
        raise InvalidInputError(f"shape is {shape!r}; expected two side lengths (L1, L2), or one of a square")
    return integer(found[0], "shape[0]", minimum=1), integer(found[1], "shape[1]", minimum=1)


def sides(shape: str) -> tuple[int, int]:
    """The lattice sides that a text names, as 80 or 200x120; `InvalidInputError` for anything else."""
    words = shape.lower().replace("×", "x").split("x")
    try:
        found = [int(word) for word in words]
    except ValueError:
        found = []
    if len(found) not in (1, 2) or min(found, default=0) < 1:
        raise InvalidInputError(f"shape is {shape!r}; expected a side, as 80, or two, as 200x120")
    return found[0], found[-1]


def shell_numbers(shells: Any) -> NDArray[np.int64]:
    """Distinct non-negative shell numbers n of the modes cos(n k_min i)."""
    try:
        # One more than may be, so that a range of billions is not gone through.
        found = [integer(n, "a shell number", minimum=0, maximum=2**63 - 1) for n in islice(shells, _MOST_SHELLS + 1)]
    except TypeError as error:
        if isinstance(error, DtypeError):
            raise
        raise DtypeError(f"shells is {shells!r}; expected a sequence of integers") from None
    if len(found) > _MOST_SHELLS:
        raise InvalidInputError(f"shells are more than {_MOST_SHELLS}; expected fewer")
    if not found or len(set(found)) != len(found):
        raise InvalidInputError(f"shells is {found}; expected at least one shell number, each once")
    return np.asarray(found, dtype=np.int64)
