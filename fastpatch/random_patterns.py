"""The random dictionaries of the paper (App. C.1): patterns of +-1 drawn at random, and the two uniform ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInputError
from .memory import require_memory
from .validation import boolean, finite_float, integer

__all__ = ["random_patterns"]


def random_patterns(
    n_random: int, sign_flips: bool, uniform_mass: float, size: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Patterns (K, P, P) and prior (K,) of `PatchDictionary.random`, whose parameters and errors are these."""
    n_random = integer(n_random, "n_random", minimum=0, maximum=2**62)
    side = integer(size, "size", minimum=1, maximum=2**31)
    flips = boolean(sign_flips, "sign_flips")
    if side % 2 == 0:
        raise InvalidInputError(f"size is {side}; expected an odd pattern size")
    mass = finite_float(uniform_mass, "uniform_mass")
    if not 0.0 <= mass <= 1.0:
        raise InvalidInputError(f"uniform_mass is {mass}; expected a probability in [0, 1]")
    if n_random == 0 and mass < 1.0:
        raise InvalidInputError(
            f"n_random is 0 and uniform_mass is {mass}; expected uniform_mass = 1 without random patterns"
        )
    # The draws in int64 and float64, then all patterns in float64.
    require_memory(8.0 * n_random * side**2 * (3 + flips), f"a dictionary of {n_random} random patterns takes")
    rng = np.random.default_rng(integer(seed, "seed", minimum=0))
    drawn = 2.0 * rng.integers(0, 2, size=(n_random, side, side)) - 1.0
    blocks: list[NDArray[Any]] = []
    priors: list[NDArray[np.float64]] = []
    if mass < 1.0:
        blocks.append(np.concatenate([drawn, -drawn]) if flips else drawn)
        priors.append(np.full(len(blocks[0]), (1.0 - mass) / len(blocks[0])))
    if mass > 0.0:
        blocks.append(np.stack([np.ones((side, side)), -np.ones((side, side))]))
        priors.append(np.full(2, mass / 2.0))
    prior = np.concatenate(priors)
    return np.concatenate(blocks), prior / prior.sum()
