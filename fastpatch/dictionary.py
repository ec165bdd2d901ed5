"""The dictionary of local patterns that the patch model mixes (paper Sec. 6 and App. C.1)."""

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DtypeError, InvalidInputError
from .validation import finite_float, integer

__all__ = ["PatchDictionary"]


class PatchDictionary:
    """K patterns of odd size P x P with their prior probabilities.

    Parameters
    ----------
    patterns
        Array (K, P, P) of finite real numbers, P odd. ``patterns[k, u, v]`` multiplies
        ``x[i + u - R, j + v - R]`` with ``R = P // 2``; the centre pixel is ``patterns[k, R, R]``.
        Entries need not be +-1 and patterns may differ in norm.
    prior
        Array (K,) of positive probabilities that sum to 1 within 1e-6; normalised exactly on entry.
        ``None`` means uniform.

    Attributes
    ----------
    patterns, prior : read-only float64 arrays (K, P, P) and (K,)

    Raises
    ------
    InvalidInputError, DtypeError
        Naming the offending shape, entry or sum. Duplicate patterns are allowed: they add their priors.
    """

    patterns: NDArray[np.float64]
    prior: NDArray[np.float64]

    def __init__(self, patterns: ArrayLike, prior: ArrayLike | None = None) -> None:
        entries = _numbers(patterns, "patterns")
        if entries.ndim != 3 or entries.shape[1] != entries.shape[2]:
            raise InvalidInputError(f"patterns has shape {entries.shape}; expected (K, P, P) with square patterns")
        count, size, _ = entries.shape
        if count < 1 or size % 2 == 0:
            raise InvalidInputError(f"patterns has shape {entries.shape}; expected K >= 1 patterns of odd size P")
        weights = np.full(count, 1.0 / count) if prior is None else _numbers(prior, "prior")
        if weights.shape != (count,):
            raise InvalidInputError(f"prior has shape {weights.shape}; expected ({count},), one entry a pattern")
        if not (weights > 0.0).all():
            at = int(np.argmin(weights))
            raise InvalidInputError(f"prior[{at}] is {weights[at]}; expected positive probabilities")
        total = float(weights.sum())
        if abs(total - 1.0) > 1e-6:
            raise InvalidInputError(f"prior sums to {total}; expected 1")
        self.patterns = np.array(entries)
        self.prior = weights / total
        self.patterns.setflags(write=False)
        self.prior.setflags(write=False)

    @classmethod
    def random(
        cls,
        n_random: int = 8,
        sign_flips: bool = True,
        uniform_mass: float = 0.9,
        size: int = 5,
        seed: int = 0,
    ) -> "PatchDictionary":
        """Random +-1 patterns sharing ``1 - uniform_mass``, plus the two uniform patterns sharing ``uniform_mass``.

        Order: the random patterns, their sign flips (if ``sign_flips``), all +1, all -1. The three readings of the
        paper's "ten patterns" are ``random()`` (8 + 8 flips + 2 = 18, the default), ``random(n_random=4)``
        (4 + 4 + 2 = 10, eq. 31's 0.1/8) and ``random(sign_flips=False)`` (8 + 2 = 10, not Z2-symmetric).
        ``uniform_mass=0`` leaves out the uniform patterns and ``uniform_mass=1`` the random ones, since no pattern
        may have prior zero.

        Raises `InvalidInputError` for an even size, a mass outside [0, 1], or a dictionary left empty.
        """
        n_random = integer(n_random, "n_random", minimum=0)
        side = integer(size, "size", minimum=1)
        if side % 2 == 0:
            raise InvalidInputError(f"size is {side}; expected an odd pattern size")
        mass = finite_float(uniform_mass, "uniform_mass")
        if not 0.0 <= mass <= 1.0:
            raise InvalidInputError(f"uniform_mass is {mass}; expected a probability in [0, 1]")
        if n_random == 0 and mass < 1.0:
            raise InvalidInputError(
                f"n_random is 0 and uniform_mass is {mass}; expected uniform_mass = 1 without random patterns"
            )
        rng = np.random.default_rng(integer(seed, "seed", minimum=0))
        drawn = 2.0 * rng.integers(0, 2, size=(n_random, side, side)) - 1.0
        blocks: list[NDArray[Any]] = []
        priors: list[NDArray[np.float64]] = []
        if mass < 1.0:
            blocks.append(np.concatenate([drawn, -drawn]) if sign_flips else drawn)
            priors.append(np.full(len(blocks[0]), (1.0 - mass) / len(blocks[0])))
        if mass > 0.0:
            blocks.append(np.stack([np.ones((side, side)), -np.ones((side, side))]))
            priors.append(np.full(2, mass / 2.0))
        return cls(np.concatenate(blocks), np.concatenate(priors))

    def __len__(self) -> int:
        return len(self.patterns)

    def __repr__(self) -> str:
        symmetry = "Z2-symmetric" if self.is_z2_symmetric else "not Z2-symmetric"
        return (
            f"PatchDictionary({len(self)} patterns of {self.size}x{self.size}, {symmetry}, digest {self.digest[:12]})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PatchDictionary) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def size(self) -> int:
        """Side P of a pattern."""
        return int(self.patterns.shape[-1])

    @property
    def radius(self) -> int:
        """R = P // 2, the reach of a pattern from its centre pixel."""
        return self.size // 2

    @property
    def centers(self) -> NDArray[np.float64]:
        """Centre pixel c_k of every pattern, (K,)."""
        return self.patterns[:, self.radius, self.radius]

    @property
    def squared_norms(self) -> NDArray[np.float64]:
        """||p_k||^2, (K,)."""
        return np.asarray(np.einsum("kuv,kuv->k", self.patterns, self.patterns))

    @cached_property
    def is_z2_symmetric(self) -> bool:
        """Whether every pattern's sign flip carries the same total prior mass (to 1e-12)."""
        mass: dict[bytes, float] = {}
        for pattern, weight in zip(self.patterns, self.prior, strict=True):
            # Adding 0.0 turns -0.0 into 0.0, so that equal patterns have equal bytes.
            for sign in (1.0, -1.0):
                key = (sign * pattern + 0.0).tobytes()
                mass[key] = mass.get(key, 0.0) + sign * float(weight)
        return all(abs(excess) < 1e-12 for excess in mass.values())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of patterns and prior, the dictionary's identity in provenance."""
        shape = np.asarray(self.patterns.shape, dtype="<i8").tobytes()
        content = self.patterns.astype("<f8").tobytes() + self.prior.astype("<f8").tobytes()
        return hashlib.sha256(shape + content).hexdigest()


def _numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        found: NDArray[Any] = np.asarray(values)
    except ValueError:
        raise InvalidInputError(f"{name} is ragged; expected an array, all rows of one length") from None
    if found.dtype.kind not in "iuf":
        raise DtypeError(f"{name} has dtype {found.dtype.name}; expected real numbers")
    numbers: NDArray[np.float64] = found.astype(np.float64)
    if not np.isfinite(numbers).all():
        at = tuple(map(int, np.argwhere(~np.isfinite(numbers))[0]))
        raise InvalidInputError(f"{name} holds {numbers[at]} at index {at}; expected finite numbers")
    return numbers
