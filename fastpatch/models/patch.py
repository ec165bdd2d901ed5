"""The patch model: the score of independent local patches (paper Sec. 6 and App. C)."""

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dictionary import PatchDictionary
from ..errors import DtypeError, InvalidInputError
from ..html_repr import facts_html
from ..kernels import patch as kernels
from ..kernels.plan import PatchPlan
from ..kernels.tree import TreeKernels
from ..kernels.tree.choice import FEWEST_PATTERNS, tree_of
from ..process import VPSchedule
from .linear_response import first_softening
from .local import LocalPosteriorModel, pixel_patterns

__all__ = ["PatchModel"]


class PatchModel(LocalPosteriorModel):
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

    def _repr_html_(self) -> str:
        """The dictionary's patterns and what is predicted for them, for notebooks."""
        facts = {"schedule": self.schedule, "critical time, score at x = 0": f"{self.critical_time:.4g}"}
        return self.dictionary._repr_html_() + facts_html(facts)

    @property
    def is_fused(self) -> bool:
        """Whether kernels may take its steps: unless a subclass or an instance overrides what they would bypass."""
        # ``plan`` is cached on the instance, so only a class can override it.
        return type(self).plan is PatchModel.plan and not self.overrides(
            PatchModel,
            "posterior_mean",
            "score",
            "drift",
            "mode_derivatives",
            "derivative_of_overlap",
            "_posterior_mean",
            "_score",
            "_mode_overlaps",
        )

    @cached_property
    def plan(self) -> PatchPlan:
        """The dictionary as the kernels take it."""
        return PatchPlan.of(self.dictionary.patterns, self.dictionary.prior)

    @cached_property
    def tree(self) -> TreeKernels | None:
        """The kernels for the dictionary's tree, where these are the fastest; else `plan` is used."""
        dictionary = self.dictionary
        # Small dictionaries have no tree, and need not be coded or compared with their flips.
        if len(dictionary) < FEWEST_PATTERNS or dictionary.codes is None:
            return None
        return tree_of(dictionary.codes, dictionary.prior, dictionary.size, paired=dictionary.is_z2_symmetric)

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
        if self.tree is None:
            return kernels.response(self.plan, *self.schedule.amplitudes(t), x)
        return self.tree.response(x, self._slope(t))[1], pixel_patterns(self.dictionary.size)

    def _posterior_mean(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        if self.tree is not None:
            return self.tree.posterior_mean(x, self._slope(t))
        return kernels.posterior_mean(self.plan, *self.schedule.amplitudes(t), x)

    def _mode_overlaps(
        self, x: NDArray[np.float64], t: float, shells: NDArray[np.int64], diagonal: bool
    ) -> NDArray[np.float64]:
        if self.tree is not None:
            return super()._mode_overlaps(x, t, shells, diagonal)
        return kernels.mode_overlaps(self.plan, *self.schedule.amplitudes(t), x, shells, diagonal)
