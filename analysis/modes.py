"""Fourier modes of the lattice and derivatives of a drift along them (paper eqs. 46-48, App. C.8-C.9)."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DtypeError, InvalidInputError
from ..validation import finite_float, floating_field, lattice_shape, plain_array, shell_numbers

__all__ = ["directional_derivatives", "distinct_modes", "finite_difference_step", "fourier_modes", "shell_average"]


def fourier_modes(
    shape: tuple[int, int], shells: Iterable[int] = range(7), diagonal: bool = False
) -> NDArray[np.float64]:
    r"""Cosine modes of unit norm on an L1 x L2 lattice (eqs. 47-48).

    .. math:: v_{n,0}(i, j) \propto \cos\frac{2\pi n i}{L_1}, \quad v_{n,1}(i, j) \propto \cos\frac{2\pi n j}{L_2},
              \quad v_{n,2}(i, j) \propto \cos 2\pi n\Bigl(\frac{i}{L_1} + \frac{j}{L_2}\Bigr)

    Returns float64 (n_shells, n_directions, L1, L2): direction 0 varies along axis -2, direction 1 along axis -1 and,
    with ``diagonal=True``, direction 2 along both (the third mode of Sec. 6). Shell 0 is the constant mode in every
    direction; modes of distinct shells or directions with 0 < n <= min(L1, L2) / 2 are orthogonal. The paper's modes
    are not normalised; without the unit norm the ratios of eq. 49 would be half as large.

    Raises `DtypeError` or `InvalidInputError` unless ``shape`` is two positive sides and ``shells`` are distinct
    integers >= 0. Not checked: a shell n above half a side L is the same mode as shell L - n.
    """
    L1, L2 = lattice_shape(shape)
    numbers = shell_numbers(shells)
    phase = numbers[:, None, None] * (2.0 * np.pi)
    along = [phase * (np.arange(L1) / L1)[:, None], phase * (np.arange(L2) / L2)[None, :]]
    if diagonal:
        along.append(along[0] + along[1])
    modes = np.stack([np.broadcast_to(np.cos(angle), (len(numbers), L1, L2)) for angle in along], axis=1)
    return np.asarray(modes / np.linalg.norm(modes, axis=(-2, -1), keepdims=True))


def distinct_modes(
    shape: tuple[int, int], shells: Iterable[int] = range(7), diagonal: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The modes of `fourier_modes` without repetition, for derivatives that cost something.

    Shell 0 is one and the same mode in every direction. Returns the modes, float64 (M, L1, L2), and the position of
    each shell and direction among them, (n_shells, n_directions). Raises what `fourier_modes` raises.
    """
    modes = fourier_modes(shape, shells, diagonal)
    flat, position = np.unique(modes.reshape(-1, modes[0, 0].size), axis=0, return_inverse=True)
    return flat.reshape(-1, *modes.shape[2:]), position.reshape(modes.shape[:2])


def finite_difference_step(sigma2: ArrayLike) -> Any:
    """The paper's step for `directional_derivatives`, max(5e-5, 1e-3 sigma2) (App. C.8); float64, shape of ``sigma2``.

    Raises `InvalidInputError` for a negative or non-finite variance, `DtypeError` for anything but numbers.
    """
    try:
        variance = plain_array(sigma2, "sigma2").astype(np.float64)
    except InvalidInputError:
        raise
    except (TypeError, ValueError):
        raise DtypeError(f"sigma2 is {sigma2!r}; expected real numbers") from None
    if not (np.isfinite(variance) & (variance >= 0.0)).all():
        raise InvalidInputError(f"sigma2 is {sigma2!r}; expected finite variances >= 0")
    return np.maximum(5e-5, 1e-3 * variance)[()]


def directional_derivatives(
    drift: Callable[[NDArray[Any]], ArrayLike], x: ArrayLike, modes: ArrayLike, eps: float
) -> NDArray[np.float64]:
    r"""Central differences of a drift along given modes (eq. 46).

    .. math:: \lambda_v = \frac{v^\top [b(x + \varepsilon v) - b(x - \varepsilon v)]}{2\varepsilon}

    Parameters
    ----------
    drift
        Any callable from an array of the shape and dtype of ``x`` to one of the same shape. It is called twice a
        mode, with all fields of ``x`` at once; bind the time first, ``lambda x: model.drift(x, t)``.
    x
        Array (..., L1, L2), float32 or float64.
    modes
        Array (..., L1, L2) of directions v, as `fourier_modes` gives them. They are used as they are: a v of another
        norm than 1 multiplies its value by the norm squared.
    eps
        Step, see `finite_difference_step`.

    Returns
    -------
    lambda : float64, shape ``x.shape[:-2] + modes.shape[:-2]``
        The error is of order eps^2 from truncation plus, from rounding, the dtype's epsilon times |b| sqrt(L1 L2) /
        eps: with unit-norm modes and the paper's step a float32 drift leaves several per cent, float64 about 1e-9.

    Raises
    ------
    DtypeError, InvalidInputError
        For arrays of another dtype, NaN or infinite values in ``x``, ``modes`` or the drift, modes of another lattice,
        a drift of another shape, or a step that is not positive. Whether the step is small enough is not checked.
    """
    fields = floating_field(x, "x")
    directions = floating_field(modes, "modes")
    step = finite_float(eps, "eps")
    if step <= 0.0:
        raise InvalidInputError(f"eps is {step}; expected a positive step")
    if directions.shape[-2:] != fields.shape[-2:]:
        raise InvalidInputError(
            f"modes live on a lattice {directions.shape[-2:]}; expected that of x, {fields.shape[-2:]}"
        )

    def evaluate(at: NDArray[Any]) -> NDArray[np.float64]:
        b = floating_field(drift(at), "drift(x)")
        if b.shape != fields.shape:
            raise InvalidInputError(f"drift(x) has shape {b.shape}; expected that of x, {fields.shape}")
        return b.astype(np.float64)

    flat = directions.reshape(-1, *fields.shape[-2:])
    derivatives = np.empty((*fields.shape[:-2], len(flat)))
    for at, v in enumerate(flat):
        shift = (step * v).astype(fields.dtype)
        difference = evaluate(fields + shift) - evaluate(fields - shift)
        derivatives[..., at] = np.tensordot(difference, v.astype(np.float64), axes=2) / (2.0 * step)
    return derivatives.reshape(fields.shape[:-2] + directions.shape[:-2])


def shell_average(derivatives: ArrayLike) -> NDArray[Any]:
    """Mean over directions, from (..., n_shells, n_directions) to the lambda_n (..., n_shells) of App. C.10.

    NaN in a direction makes its shell NaN. Raises `InvalidInputError` for fewer than two axes or no direction.
    """
    values = plain_array(derivatives, "derivatives", missing="nan")
    if values.ndim < 2 or values.shape[-1] == 0:
        raise InvalidInputError(f"derivatives has shape {values.shape}; expected (..., n_shells, n_directions)")
    return np.asarray(values.mean(axis=-1))
