"""The patch model: the score of independent local patches (paper Sec. 6 and App. C)."""

from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..dictionary import PatchDictionary
from ..errors import DtypeError, InvalidInputError
from ..kernels import patch as kernels
from ..kernels.plan import PatchPlan
from ..kernels.tree import TreeKernels
from ..kernels.tree.choice import tree_of
from ..process import VPSchedule
from .base import PosteriorMeanModel

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
