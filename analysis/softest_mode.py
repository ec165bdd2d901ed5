"""The softest mode of a drift: the lowest eigenvalue of its whole Jacobian, not of a Fourier mode."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..validation import finite_float, integer, lattice_shape

__all__ = ["SoftestMode", "softest_mode"]

Product = Callable[[NDArray[np.float64]], Any]


@dataclass(frozen=True, eq=False)
class SoftestMode:
    r"""The lowest eigenvalues of the symmetric part (J + J^T) / 2 of a Jacobian, and their modes.

    The derivative :math:`v^\top J v` along any unit vector is at least the lowest of them: a lambda_n is a Rayleigh
    quotient above it.

    Attributes
    ----------
    eigenvalues : (n,)
        From the lowest on.
    modes : (n, *shape)
        Unit norm, signed so that their sum is not negative.
    participation : (n,)
        Sites over which a mode is spread, :math:`1/\sum_i v_i^4` (with several channels :math:`v_i^2` is summed over
        them first): N for a uniform mode, 2N/3 for a plane cosine, 1 for a single site.
    uniform_overlap : (n,)
        Squared overlap with the uniform mode.
    asymmetry, asymmetry_error : float
        :math:`\|J - J^\top\| / \|J\|` in Frobenius norm, 0 for a gradient, up to 2, from products with random vectors,
        and its standard error.
    residual : float
        Largest :math:`\|\tfrac12 (J + J^\top) v - \lambda v\|` of the pairs.
    """

    eigenvalues: NDArray[np.float64]
    modes: NDArray[np.float64]
    participation: NDArray[np.float64]
    uniform_overlap: NDArray[np.float64]
    asymmetry: float
    asymmetry_error: float
    residual: float


def softest_mode(
    product: Product,
    transposed: Product,
    shape: tuple[int, ...],
    *,
    count: int = 1,
    probes: int = 16,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> SoftestMode:
    """The ``count`` lowest modes of a Jacobian that is known by its products alone, by `scipy.sparse.linalg.eigsh`.

    Parameters
    ----------
    product, transposed
        J v and J^T v for float64 v of the given shape, such as a `PatchModel.jacobian` gives, or jvp and vjp of a
        network.
    shape
        Of a state: (L1, L2), or (C, H, W) for images of several channels.
    count
        Eigenvalues wanted, below the number of entries of a state.
    probes
        Random vectors for the asymmetry, at least 2.
    tolerance
        Relative accuracy of the eigenvalues.
    seed
        Of the probes and of the start vector.

    Where (J + J^T) / 2 is zero, so are the eigenvalues, and any orthonormal vectors are its modes.

    Raises `InvalidInputError` or `DtypeError` for arguments outside what is stated, products of another shape or that
    are not finite, or eigenvalues that do not converge.
    """
    # Imported here: importing it takes long, and few need it.
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

    sides = _state_shape(shape)
    size = int(np.prod(sides))
    wanted = integer(count, "count", minimum=1, maximum=max(size - 1, 1))
    drawn = integer(probes, "probes", minimum=2)
    accuracy = finite_float(tolerance, "tolerance")
    rng = np.random.default_rng(integer(seed, "seed", minimum=0))

    def applied(function: Product, name: str, v: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.asarray(function(v.reshape(sides)), dtype=np.float64)
        if found.shape != sides:
            raise InvalidInputError(f"{name} has shape {found.shape}; expected that of a state, {sides}")
        if not np.isfinite(found).all():
            raise InvalidInputError(f"{name} holds NaN or infinite values; expected finite products")
        return found.ravel()

    def symmetric(v: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.5 * (applied(product, "product(v)", v) + applied(transposed, "transposed(v)", v))

    operator = LinearOperator((size, size), matvec=symmetric, dtype=np.float64)
    start = rng.normal(size=size)
    try:
        values, vectors = eigsh(operator, k=wanted, which="SA", tol=accuracy, v0=start)
    except ArpackNoConvergence as error:
        raise InvalidInputError(
            f"only {len(error.eigenvalues)} of {wanted} eigenvalues have converged; expected a larger tolerance"
        ) from None
    except ArpackError as error:
        # Lanczos cannot begin from a vector that is mapped to zero, as a random one is where all of them are.
        if symmetric(start).any():
            raise InvalidInputError(f"ARPACK fails ({error}); expected products with a Jacobian") from None
        values, vectors = np.zeros(wanted), np.linalg.qr(rng.normal(size=(size, wanted)))[0]
    order = np.argsort(values)
    values, vectors = values[order], vectors[:, order].T
    vectors = vectors * np.where(vectors.sum(axis=1) < 0.0, -1.0, 1.0)[:, None]
    residual = max(float(np.linalg.norm(symmetric(v) - value * v)) for value, v in zip(values, vectors, strict=True))
    modes = vectors.reshape(wanted, *sides)
    density = np.square(modes).reshape(wanted, -1, *sides[-2:]).sum(axis=1)
    asymmetry, spread = _asymmetry(
        [
            (applied(product, "product(v)", v), applied(transposed, "transposed(v)", v))
            for v in rng.normal(size=(drawn, size))
        ]
    )
    return SoftestMode(
        eigenvalues=values,
        modes=modes,
        participation=1.0 / np.square(density).sum(axis=(1, 2)),
        uniform_overlap=vectors.sum(axis=1) ** 2 / size,
        asymmetry=asymmetry,
        asymmetry_error=spread,
        residual=residual,
    )


def _asymmetry(products: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> tuple[float, float]:
    """sqrt(E|(J - J^T) g|^2 / E|J g|^2) over standard normal g, both an average of squares, and its standard error."""
    odd = np.array([float(np.square(a - b).sum()) for a, b in products])
    # J and its transpose have one norm: both serve.
    whole = np.array([0.5 * float(np.square(a).sum() + np.square(b).sum()) for a, b in products])
    if not whole.any():
        return 0.0, 0.0
    ratio = odd.mean() / whole.mean()
    spread = float(np.std(odd - ratio * whole, ddof=1)) / (whole.mean() * np.sqrt(len(odd)))
    root = float(np.sqrt(ratio))
    return root, float(spread / (2.0 * root)) if root > 0.0 else 0.0


def _state_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    sides = tuple(shape)
    if len(sides) < 2:
        raise InvalidInputError(f"shape is {shape!r}; expected (L1, L2) or (C, H, W)")
    channels = tuple(integer(side, "a side of shape", minimum=1) for side in sides[:-2])
    return (*channels, *lattice_shape(sides[-2:]))
