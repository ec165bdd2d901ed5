"""A dictionary rearranged for the kernels: what is shared between patterns is listed once."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arguments import Plan

__all__ = ["NEGLIGIBLE", "PatchPlan"]

# Base-2 logit beyond which 2^-logit counts as zero beside 1: it is below half a unit in the last place, with so much to
# spare that rounding a sum of terms in between cannot make it felt.
NEGLIGIBLE = {"float32": 100.0, "float64": 200.0}

_SIGN_ROWS = np.array([(1.0, *signs) for signs in product((-1.0, 1.0), repeat=4)])


@dataclass(frozen=True, eq=False)
class PatchPlan:
    """U units, each a +- pair of patterns of equal prior or a single pattern, built from distinct pattern rows.

    A pair shares one dot product ``d = <p, y>``, since its partner's is ``-d``. Pattern rows that are equal up to
    sign share one row correlation ``sum_v rows[q, v] x[i, j + v - R]``, also between the output rows that use it.

    Attributes
    ----------
    rows : (Q, P)
        Distinct pattern rows, the first non-zero entry positive.
    unit_row, unit_sign : (U, P)
        Row u of unit k is ``unit_sign[k, u] * rows[unit_row[k, u]]``.
    patterns, centers, log2_prior, squared_norms : (U, P, P), (U,), (U,), (U,)
        The representative pattern of each unit; for a pair, the prior of one of its two patterns.
    n_pairs : int
        Units 0 … n_pairs - 1 are pairs, the rest singles.
    binary : bool
        ``rows`` are the sixteen rows (1, ±1, ±1, ±1, ±1), of patterns of size 5 with entries ±1.
    """

    rows: NDArray[np.float64]
    unit_row: NDArray[np.int64]
    unit_sign: NDArray[np.float64]
    patterns: NDArray[np.float64]
    log2_prior: NDArray[np.float64]
    n_pairs: int
    binary: bool

    @classmethod
    def of(cls, patterns: NDArray[np.float64], prior: NDArray[np.float64]) -> "PatchPlan":
        """Of patterns (K, P, P) and their probabilities (K,)."""
        pairs, singles = _match_sign_flips(patterns, prior)
        members = np.array(pairs + singles)
        chosen = patterns[members]
        binary = chosen.shape[-1] == 5 and bool((np.abs(chosen) == 1.0).all())
        rows, unit_row, unit_sign = _distinct_rows(chosen, _SIGN_ROWS if binary else np.empty((0, chosen.shape[-1])))
        return cls(rows, unit_row, unit_sign, chosen, np.log2(prior[members]), len(pairs), binary)

    @cached_property
    def centers(self) -> NDArray[np.float64]:
        radius = self.patterns.shape[-1] // 2
        return np.ascontiguousarray(self.patterns[:, radius, radius])

    @cached_property
    def squared_norms(self) -> NDArray[np.float64]:
        return np.asarray(np.einsum("kuv,kuv->k", self.patterns, self.patterns))

    def bias(self, alpha2_over_2sigma2: NDArray[np.float64]) -> NDArray[np.float64]:
        """log2 of ``pi_k exp(-alpha^2/(2 sigma^2) |p_k|^2)`` up to a constant of k, shape (times, U).

        Norms enter as their excess over the smallest, so that they cancel exactly where all are equal.
        """
        excess = self.squared_norms - self.squared_norms.min()
        return np.asarray(self.log2_prior - np.log2(np.e) * np.multiply.outer(alpha2_over_2sigma2, excess))

    def cast(self, dtype: np.dtype[Any]) -> Plan:
        """The arrays a kernel takes, in its precision."""
        return Plan(
            self.rows.astype(dtype),
            self.unit_row,
            self.unit_sign.astype(dtype),
            self.centers.astype(dtype),
            self.n_pairs,
            self.binary,
            dtype.type(NEGLIGIBLE[dtype.name]),
        )


def _match_sign_flips(patterns: NDArray[np.float64], priors: NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """Indices of one pattern of every +- pair of exactly equal prior, and of the patterns left over."""
    waiting: dict[tuple[bytes, float], list[int]] = {}
    pairs: list[int] = []
    partnered: set[int] = set()
    # Adding 0.0 turns -0.0 into 0.0, so that equal patterns have equal bytes.
    for k, (pattern, prior) in enumerate(zip(patterns, priors, strict=True)):
        flip = waiting.get(((-pattern + 0.0).tobytes(), float(prior)))
        if flip:
            first = flip.pop(0)
            pairs.append(first)
            partnered.update((first, k))
        else:
            waiting.setdefault(((pattern + 0.0).tobytes(), float(prior)), []).append(k)
    return sorted(pairs), [k for k in range(len(patterns)) if k not in partnered]


def _distinct_rows(
    patterns: NDArray[np.float64], known: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """The distinct rows of all patterns and of ``known`` up to sign, in lexicographic order; where each is used."""
    units, size, _ = patterns.shape
    flat = np.concatenate([patterns.reshape(-1, size), known])
    leading = flat[np.arange(len(flat)), np.argmax(flat != 0.0, axis=1)]
    signs = np.where(leading < 0.0, -1.0, 1.0)
    rows, index = np.unique(signs[:, None] * flat + 0.0, axis=0, return_inverse=True)
    used = slice(0, units * size)
    return rows, index[used].reshape(units, size).astype(np.int64), signs[used].reshape(units, size)
