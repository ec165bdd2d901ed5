"""Pieces of work for many threads and processes at once; each gives a digest of every bit of its result."""

from functools import cache
from hashlib import sha256

import numpy as np

import fastpatch as fp
from fastpatch.analysis import correlation_length
from fastpatch.kernels import pool
from fastpatch.noise import standard_normals

KINDS = ("simulate", "many paths", "float64", "posterior", "derivatives", "length", "noise")


@cache
def model():
    return fp.PatchModel(fp.PatchDictionary.random())


@cache
def field(*shape):
    return standard_normals((1, *shape), seed=3)[0]


def work(kind):
    """The digest of one piece of work, of which even the smallest is shared between threads."""
    pool._LEAST_SHARE = 1e-15
    times = fp.log_time_grid(10.0, steps=20)
    if kind in ("simulate", "many paths", "float64"):
        options = {"shape": (37, 20), "dtype": "float64"} if kind == "float64" else {"shape": (36, 52)}
        found = fp.simulate(model(), trajectories=9 if kind == "many paths" else 1, times=times, **options)
        arrays = [found[name].to_numpy() for name in ("final", "xi_x", "mode_derivative")]
    elif kind == "posterior":
        arrays = [model().score(field(40, 50), 1.0)]
    elif kind == "derivatives":
        arrays = [model().mode_derivatives(field(40, 50), 0.5), model().spectrum(field(40, 50), 0.5)]
    elif kind == "length":
        arrays = [correlation_length(field(512, 1024))]
    else:
        arrays = [standard_normals((2, 33, 70), seed=1)]
    return sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def all_work(_=None):
    return [work(kind) for kind in KINDS]
