"""The patch model: the score of independent local patches (paper Sec. 6 and App. C)."""

import math
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from ..dictionary import PatchDictionary
from ..errors import DtypeError, InvalidInputError
from ..kernels import patch as kernels
from ..kernels.plan import PatchPlan
from ..kernels.tree import TreeKernels
from ..kernels.tree.choice import tree_of
from ..process import VPSchedule
from ..validation import positive_time
from .base import PosteriorMeanModel
from .jacobian import LocalJacobian
from .linear_response import first_softening

__all__ = ["PatchModel"]


class PatchModel(PosteriorMeanModel):
    r"""Posterior over a dictionary of patterns at every site of a periodic lattice, from its P x P neighbourhood y.

    .. math:: w_k \propto \pi_k \exp\Bigl(-\frac{|y - \alpha p_k|^2}{2\sigma^2}\Bigr), \qquad m = \sum_k w_k c_k

    (eqs. 36-38; where all patterns have equal norm this is eq. 36 as printed). ``c_k`` is the centre pixel.

    Parameters
    ----------
    dictionary
        Patterns and prior.
    schedule
        The forward process; ``VPSchedule()`` by default.

    Large dictionaries of +-1 patterns, such as all patches of a set of images, are evaluated by a tree of their rows
    (`fastpatch.kernels.tree`), then in the precision of ``x``.

    Lattices need L1 >= P and L2 >= P, so that no neighbourhood meets a site twice.
    """

    def __init__(self, dictionary: PatchDictionary, schedule: VPSchedule | None = None) -> None:
        if not isinstance(dictionary, PatchDictionary):
            raise DtypeError(f"dictionary is a {type(dictionary).__name__}; expected a PatchDictionary")
        if schedule is not None and not isinstance(schedule, VPSchedule):
            raise DtypeError(f"schedule is a {type(schedule).__name__}; expected a VPSchedule")
        self.dictionary = dictionary
        self.schedule = VPSchedule() if schedule is None else schedule

    def __repr__(self) -> str:
        return f"PatchModel({self.dictionary!r}, {self.schedule!r})"

    @cached_property
    def plan(self) -> PatchPlan:
        """The dictionary as the kernels take it."""
        return PatchPlan.of(self.dictionary)

    @cached_property
    def tree(self) -> TreeKernels | None:
        """The kernels for the dictionary's tree, where these are the fastest; else `plan` is used."""
        return tree_of(self.dictionary)

    @property
    def Omega(self) -> float:
        """Sites of a patch, P^2: exact for the two uniform patterns alone, the paper's estimate for a dictionary."""
        return float(self.dictionary.size**2)

    @property
    def critical_time(self) -> float:
        """Where the score's Jacobian at x = 0 first loses its sign along some wave vector, coming from large t.

        ``sigma^2 = alpha^2 g`` with the dictionary's own largest coupling g, which is P^2 for the two uniform patterns
        alone: the paper's log(1 + P^2) then. nan where no mode softens. Not checked: that x = 0 is a fixed point, which
        it is for a Z2-symmetric dictionary.
        """
        rate = first_softening(self.dictionary)
        return rate if math.isnan(rate) else self.schedule.time_of(rate)

    def jacobian(self, x: ArrayLike, t: float) -> LocalJacobian:
        r"""The drift's whole Jacobian :math:`\partial b_i/\partial x_j` at x (..., L1, L2), exact, in closed form.

        It holds P^2 float64 fields a field of x. Raises what `drift` raises.
        """
        field, batch = self._batch(x)
        time = positive_time(t)
        sigma2, rate = self.schedule.sigma2(time), self.schedule.rate(time)
        windows = -rate * (self.schedule.alpha(time) / sigma2) ** 2 * self._windows(batch, time)
        centre = self.dictionary.radius
        windows[:, centre, centre] += rate * (-0.5 + 1.0 / sigma2)
        return LocalJacobian(windows.reshape(*field.shape[:-2], *windows.shape[1:]))

    def jvp(self, x: ArrayLike, t: float, v: ArrayLike) -> NDArray[np.float64]:
        """(db/dx) v, float64, for directions v that broadcast against x (..., L1, L2); many at once: `jacobian`."""
        return self.jacobian(x, t) @ v

    def vjp(self, x: ArrayLike, t: float, w: ArrayLike) -> NDArray[np.float64]:
        """(db/dx)^T w, as `jvp`: the patch score is no gradient, so its Jacobian is not symmetric."""
        return self.jacobian(x, t).transposed(w)

    def posterior_variance(self, x: ArrayLike, t: float) -> NDArray[Any]:
        r"""Variance of the centre pixel in the posterior at every site, same shape and dtype as ``x``.

        :math:`\sum_k w_k c_k^2 - m^2`, without cancellation where the posterior has locked. Its mean over sites is the
        machine's denoising error, MMSE a site, and :math:`\frac{\alpha^2}{\sigma^2}` times it the information that is
        decided per unit of log(sigma/alpha).
        """
        field, batch = self._batch(x)
        centre = self.dictionary.radius
        variance = self._windows(batch, positive_time(t))[:, centre, centre]
        return np.asarray(variance.reshape(field.shape), dtype=field.dtype)

    def _windows(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        """Covariance of the centre pixel with every pixel of the patch in the posterior, (B, P, P, L1, L2)."""
        fields, patterns = kernels.response(self.plan, self.schedule, x, t)
        return np.asarray(np.einsum("bkij,kuv->buvij", fields, patterns, optimize=True))

    def describe(self) -> dict[str, Any]:
        return {
            "type": "PatchModel",
            "dictionary": self.dictionary.digest,
            "patterns": len(self.dictionary),
            "size": self.dictionary.size,
            "beta": self.schedule.name,
        }

    def arrays(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
        prior = {"prior": (("pattern_index",), self.dictionary.prior)}
        if self.tree is not None and self.dictionary.codes is not None:
            # Integers below 2^49: exact in float64, and 25 or 49 times smaller than the patterns.
            return {"pattern_code": (("pattern_index",), self.dictionary.codes.astype(np.float64)), **prior}
        return {"pattern": (("pattern_index", "pattern_y", "pattern_x"), self.dictionary.patterns), **prior}

    def check_lattice(self, shape: tuple[int, int]) -> None:
        if min(shape) < self.dictionary.size:
            raise InvalidInputError(
                f"the lattice is {shape[0]}x{shape[1]}; "
                f"expected sides of at least the pattern size {self.dictionary.size}"
            )

    def _precision(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return super()._precision(dtype) if self.tree is None else dtype

    def response(self, x: NDArray[Any], t: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Fields H (B, U, L1, L2) and patterns p (U, P, P) with ``dm_i/dx_{i+u} = alpha/sigma^2 sum_k H_k(i) p_k(u)``.

        ``x`` (B, L1, L2) is not checked.
        """
        if self.tree is None:
            return kernels.response(self.plan, self.schedule, x, t)
        return self.tree.response(x, self._slope(t))[1], self._pixels

    @cached_property
    def _pixels(self) -> NDArray[np.float64]:
        """The patterns that are one pixel each, (P P, P, P)."""
        size = self.dictionary.size
        return np.eye(size * size).reshape(-1, size, size)

    def _slope(self, t: float) -> float:
        return float(self.schedule.alpha(t) / self.schedule.sigma2(t))

    def _posterior_mean(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        if self.tree is not None:
            return self.tree.posterior_mean(x, self._slope(t))
        return kernels.posterior_mean(self.plan, self.schedule, x, t)

    def _mode_overlaps(
        self, x: NDArray[np.float64], t: float, shells: NDArray[np.int64], diagonal: bool
    ) -> NDArray[np.float64]:
        if self.tree is not None:
            fields, pixels = self.response(x, t)
            tables = kernels.ModeTables(pixels, (x.shape[-2], x.shape[-1]), shells, diagonal)
            return kernels.line_overlaps(tables, fields)
        return kernels.mode_overlaps(self.plan, self.schedule, x, t, shells, diagonal)

    def _spectrum_overlap(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        # With v = cos(q i): sum_i v_i H_k(i) v_{i+u} = [cos(q u) (F(0) + Re F(2q)) - sin(q u) Im F(2q)] / 2,
        # F(2q) = sum_i H_k(i) exp(2 i q i). One FFT of H_k holds F at every q.
        height, width = x.shape[-2:]
        half = width // 2 + 1
        rows, columns = (2 * np.arange(height)) % height, (2 * np.arange(half)) % width
        radius = self.dictionary.radius
        offset = np.arange(-radius, radius + 1)
        along_rows = np.exp(2j * np.pi * np.outer(np.arange(height), offset) / height)
        along_columns = np.exp(2j * np.pi * np.outer(np.arange(half), offset) / width)
        total = np.zeros((height, half))
        fields, patterns = self.response(x, t)
        for pattern, field in zip(patterns, fields[0], strict=True):
            transform = np.conj(scipy.fft.fft2(field))
            symbol = along_rows @ pattern @ along_columns.T
            doubled = transform[np.ix_(rows, columns)]
            total += 0.5 * (symbol.real * (transform[0, 0].real + doubled.real) - symbol.imag * doubled.imag)
        standing = (rows[:, None] == 0) & (columns[None, :] == 0)
        return np.asarray(total / (0.5 * height * width * (1.0 + standing)))
