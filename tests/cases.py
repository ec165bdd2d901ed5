"""What the tests of the patch machine run over: dictionaries, lattices, precisions, backends, fields.

A new kernel path is covered by every test of the physics once it is named here.
"""

from itertools import product

import numpy as np
import pytest

import fastpatch as fp

BACKENDS = ("cpu", "cuda")
DTYPES = ("float32", "float64")


def _real_valued():
    rng = np.random.default_rng(11)
    return fp.PatchDictionary(rng.normal(size=(6, 5, 5)), rng.dirichlet(np.ones(6)))


def _real_pairs():
    half = np.random.default_rng(14).normal(size=(70, 5, 5))
    return fp.PatchDictionary(np.concatenate([half, -half]))


def _unbalanced_flips():
    # Sign flips of unequal prior, a pattern given twice, one of zeros, one whose centre is zero.
    rng = np.random.default_rng(12)
    first, second, hollow = np.sign(rng.normal(size=(3, 5, 5)))
    hollow[2, 2] = 0.0
    patterns = [first, -first, second, -second, second, np.zeros((5, 5)), hollow, -hollow]
    return fp.PatchDictionary(patterns, [0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])


DICTIONARIES = {
    "18 patterns": fp.PatchDictionary.random(),
    "10 with flips": fp.PatchDictionary.random(n_random=4),
    "10 without flips": fp.PatchDictionary.random(sign_flips=False),
    "16, none uniform": fp.PatchDictionary.random(uniform_mass=0.0, seed=3),
    "uniform only": fp.PatchDictionary.random(n_random=0, uniform_mass=1.0),
    "real-valued": _real_valued(),
    "unbalanced flips": _unbalanced_flips(),
    "1x1": fp.PatchDictionary([[[1.0]], [[-1.0]], [[0.3]]], [0.25, 0.25, 0.5]),
    "3x3": fp.PatchDictionary.random(size=3, seed=1),
    "7x7": fp.PatchDictionary.random(n_random=3, size=7, seed=2),
    "single": fp.PatchDictionary(np.random.default_rng(13).normal(size=(1, 3, 3))),
}

# Too many different rows or too large patterns for kernels that work tile by tile: the package has others for them.
LARGE = {
    "70 pairs": _real_pairs(),
    "140 singles": fp.PatchDictionary(np.random.default_rng(15).normal(size=(140, 3, 3))),
    "27x27": fp.PatchDictionary.random(n_random=2, size=27, seed=5),
}

# Sides that are and are not multiples of 4 and 16, several bands of rows, more columns than one tile of the kernels.
SHAPES = {"even": (20, 32), "odd": (17, 23), "tall": (37, 9), "wide": (9, 270)}

# The smallest lattice is one on which a neighbourhood is the whole of it.
MODELS_AND_SHAPES = [
    *[pytest.param(DICTIONARIES[name], SHAPES["odd"], id=f"{name}-odd") for name in DICTIONARIES],
    *[
        pytest.param(dictionary, (dictionary.size, dictionary.size), id=f"{name}-smallest")
        for name, dictionary in DICTIONARIES.items()
    ],
    *[
        pytest.param(DICTIONARIES[name], SHAPES[shape], id=f"{name}-{shape}")
        for name, shape in product(("18 patterns", "real-valued"), ("even", "tall", "wide"))
    ],
    *[
        pytest.param(LARGE[name], shape, id=f"{name}-large")
        for name, shape in (("70 pairs", SHAPES["even"]), ("140 singles", SHAPES["odd"]), ("27x27", (28, 31)))
    ],
]


def forward_field(dictionary, shape, t, *, batch=(), seed=0):
    """x = alpha x_0 + sigma eps, x_0 tiled with patterns drawn from the prior."""
    rng = np.random.default_rng(seed)
    side = dictionary.size
    blocks = (-(-shape[0] // side), -(-shape[1] // side))
    drawn = dictionary.patterns[rng.choice(len(dictionary), p=dictionary.prior, size=(*batch, *blocks))]
    tiled = np.moveaxis(drawn, -2, -3).reshape(*batch, blocks[0] * side, blocks[1] * side)
    x0 = tiled[..., : shape[0], : shape[1]]
    return np.exp(-t / 2) * x0 + np.sqrt(-np.expm1(-t)) * rng.normal(size=(*batch, *shape))


def white_field(shape, *, batch=(), seed=0):
    return np.random.default_rng(seed).normal(size=(*batch, *shape))
