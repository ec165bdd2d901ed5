r"""Averages of the posterior over Gaussian states: what the closure needs to know of a model."""

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ..dictionary import PatchDictionary
from ..errors import DtypeError, InvalidInputError
from ..models.gaussian import GaussianModel
from ..validation import integer

# With more, averages over patches take hours.
MOST_PATTERNS = 20_000
# From here on a tree evaluates patterns of +-1 faster than sums over all of them do, however many there are.
TREE_PATTERNS = 1024
# Numbers held at once for averages over patches.
_BLOCK_ENTRIES = 2**20


class Response(Protocol):
    """E[Cov(c, p_u | y)] by wave vector, and E[m(y)], of Gaussian states, a row each replicate."""

    @property
    def replicates(self) -> int: ...

    @property
    def modes(self) -> int: ...

    def first(self) -> "Response":
        """The first replicate alone."""

    def __call__(
        self, S: NDArray[np.float64], mean: NDArray[np.float64], z: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """g (R, modes) and E[m] (R,) of spectra S (R, modes) and means (R,)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class QuasiRandomResponse:
    """What averages over the same points for every spectrum have in common.

    Attributes
    ----------
    normals : (R, points, dimensions)
        Standard normal quasi-random points.
    to_symbol : (P * P, modes)
        cos(k . u).
    symmetric : bool
        Whether the mean posterior vanishes.
    """

    normals: NDArray[np.float64]
    to_symbol: NDArray[np.float64]
    symmetric: bool

    @property
    def replicates(self) -> int:
        return len(self.normals)

    @property
    def modes(self) -> int:
        return int(self.to_symbol.shape[1])

    def first(self) -> Self:
        return replace(self, normals=self.normals[:1])

    def factors(self, covariance: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Lower triangles (R, n, n) of covariances (R, n n); None where one of them is not positive definite."""
        side = math.isqrt(covariance.shape[1])
        try:
            return np.asarray(np.linalg.cholesky(covariance.reshape(-1, side, side)), dtype=np.float64)
        except np.linalg.LinAlgError:
            return None


@dataclass(frozen=True, eq=False, kw_only=True)
class PatchResponse(QuasiRandomResponse):
    r"""That of a dictionary. The posterior depends on y through <p_n, y> alone, whose covariance is B A B^T.

    Attributes
    ----------
    loadings : (K, rank)
        B, the patterns in an orthonormal basis of their span, which begins with the most probable ones.
    to_span : (modes, rank * rank)
        From a spectrum to A, the covariance of the patch in that basis.
    """

    log_prior: NDArray[np.float64]
    squared_norms: NDArray[np.float64]
    centers: NDArray[np.float64]
    patterns: NDArray[np.float64]
    loadings: NDArray[np.float64]
    to_span: NDArray[np.float64]

    @classmethod
    def of(
        cls, dictionary: PatchDictionary, shape: tuple[int, int], log2_points: int, replicates: int, seed: int
    ) -> "PatchResponse":
        flat = dictionary.patterns.reshape(len(dictionary), -1)
        basis = _basis(flat[np.argsort(-dictionary.prior, kind="stable")])
        to_span, to_symbol = patch_geometry(dictionary, shape, basis)
        return cls(
            log_prior=np.log(dictionary.prior),
            squared_norms=dictionary.squared_norms,
            centers=dictionary.centers,
            patterns=flat,
            normals=sobol_normals(basis.shape[1], log2_points, replicates, seed),
            loadings=flat @ basis,
            to_span=to_span,
            to_symbol=to_symbol,
            symmetric=dictionary.is_z2_symmetric,
        )

    def __call__(
        self, S: NDArray[np.float64], mean: NDArray[np.float64], z: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # A lower triangle in the order of the basis: what the likeliest pattern sees depends on the first points alone.
        factors = self.factors(S @ self.to_span)
        if factors is None:
            # The end of a step that was too long: not a number, which the solver answers with a shorter one.
            return np.full_like(S, np.nan), np.full(len(S), np.nan)
        sums = self.patterns.sum(axis=1)
        alpha_over_sigma2 = math.sqrt(z * (1.0 + z))
        offset = self.log_prior - 0.5 * z * self.squared_norms
        gains, means = np.zeros((len(S), len(self.centers))), np.zeros(len(S))
        block = max(1, _BLOCK_ENTRIES // len(self.centers))
        for row, (points, factor) in enumerate(zip(self.normals, factors, strict=True)):
            to_overlaps = factor.T @ self.loadings.T
            for first in range(0, len(points), block):
                overlaps = points[first : first + block] @ to_overlaps + mean[row] * sums
                weights = overlaps
                weights *= alpha_over_sigma2
                weights += offset
                weights -= weights.max(axis=1, keepdims=True)
                np.exp(weights, out=weights)
                share = 1.0 / weights.sum(axis=1)
                posterior = share * (weights @ self.centers)
                gains[row] += (share @ weights) * self.centers - (share * posterior) @ weights
                means[row] += posterior.sum()
        count = self.normals.shape[1]
        if self.symmetric:
            means[:] = 0.0
        return (gains / count) @ self.patterns @ self.to_symbol, means / count


@dataclass(frozen=True, eq=False)
class LinearResponse:
    """That of a Gaussian model, which depends on no state; twice, so that there is a spread, of zero."""

    spectrum: NDArray[np.float64]
    replicates: int = 2

    @property
    def modes(self) -> int:
        return self.spectrum.size

    def first(self) -> "LinearResponse":
        return LinearResponse(self.spectrum, 1)

    def __call__(
        self, S: NDArray[np.float64], mean: NDArray[np.float64], z: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        gain = self.spectrum / (1.0 + z * self.spectrum)
        return np.broadcast_to(gain, S.shape), np.zeros(len(S))


def response_of(
    source: PatchDictionary | GaussianModel, shape: tuple[int, int], log2_points: Any, replicates: Any, seed: Any
) -> Response:
    points = integer(log2_points, "log2_points", minimum=0, maximum=30)
    count, start = integer(replicates, "replicates", minimum=2), integer(seed, "seed", minimum=0)
    if isinstance(source, GaussianModel):
        source.check_lattice(shape)
        if source.mean.any():
            raise InvalidInputError("the Gaussian model has a mean; expected one of mean zero")
        return LinearResponse(source.data_spectrum.ravel())
    if not isinstance(source, PatchDictionary):
        raise DtypeError(f"dictionary is a {type(source).__name__}; expected a PatchDictionary or a GaussianModel")
    if len(source) > TREE_PATTERNS and source.size >= 3 and source.codes is not None:
        # Imported here because that module takes from this one what both kinds share.
        from ._tree_response import TreeResponse

        return TreeResponse.of(source, shape, points, count, start)
    if len(source) > MOST_PATTERNS:
        raise InvalidInputError(
            f"the dictionary has {len(source)} patterns that are not +-1 of 3x3 to 7x7; expected at most "
            f"{MOST_PATTERNS} for averages over patches"
        )
    return PatchResponse.of(source, shape, points, count, start)


def patch_geometry(
    dictionary: PatchDictionary, shape: tuple[int, int], basis: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From a spectrum to a patch's covariance in a basis (P P, rank), (modes, rank rank); cos(k . u), (P P, modes).

    Raises `InvalidInputError` for a lattice smaller than the patterns.
    """
    size, reach = dictionary.size, dictionary.radius
    if min(shape) < size:
        raise InvalidInputError(
            f"the lattice is {shape[0]}x{shape[1]}; expected sides of at least the pattern size {size}"
        )
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    ky, kx = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    k = 2.0 * np.pi * np.stack(np.meshgrid(ky, kx, indexing="ij"), axis=-1).reshape(-1, 2)
    phases = np.exp(1j * (k @ offsets.T))
    # <y_u y_v> = sum_k S(k) cos(k . (u - v)) / N, projected: |sum_u b_u e^(i k . u)|^2 and its mixed forms.
    projected = phases @ basis
    weight = _multiplicity(shape) / (shape[0] * shape[1])
    to_span = np.real(projected[:, :, None] * projected[:, None, :].conj()) * weight[:, None, None]
    return to_span.reshape(len(k), -1), np.ascontiguousarray(phases.real.T)


def _basis(patterns: NDArray[np.float64]) -> NDArray[np.float64]:
    """An orthonormal basis of the span of the rows, in their order, (columns, rank), by Gram-Schmidt done twice."""
    scale = float(np.linalg.norm(patterns, axis=1).max())
    found: list[NDArray[np.float64]] = []
    for row in patterns:
        if len(found) == patterns.shape[1]:
            break
        rest = row.copy()
        for _ in range(2):
            for b in found:
                rest -= (b @ rest) * b
        norm = float(np.linalg.norm(rest))
        if norm > 1e-9 * scale:
            found.append(rest / norm)
    if not found:
        found.append(np.eye(patterns.shape[1])[0])
    return np.stack(found, axis=1)


def sobol_normals(dimensions: int, log2_points: int, replicates: int, seed: int) -> NDArray[np.float64]:
    # Imported here because scipy.stats takes as long to import as all the rest of the theory.
    from scipy.stats import qmc

    streams = np.random.default_rng(seed).spawn(replicates)
    uniform = np.stack([qmc.Sobol(dimensions, seed=stream).random_base2(log2_points) for stream in streams])
    # A scrambled point may round to 0, where the quantile is infinite.
    return np.asarray(ndtri(np.maximum(uniform, np.finfo(np.float64).tiny)))


def _multiplicity(shape: tuple[int, int]) -> NDArray[np.float64]:
    """How many wave vectors of the plane each of the half plane stands for, (modes,)."""
    columns = np.full(shape[1] // 2 + 1, 2.0)
    columns[0] = 1.0
    if shape[1] % 2 == 0:
        columns[-1] = 1.0
    return np.tile(columns, shape[0])
