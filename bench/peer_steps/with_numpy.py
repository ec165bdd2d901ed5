"""The step in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cases import SEED
from bench.peer_steps.problem import Problem, Steps

__all__ = ["numpy_matmul", "numpy_shifts"]


def _loop(problem: Problem, posterior_mean: Callable[[NDArray[Any], Any], NDArray[Any]]) -> Steps:
    rng = np.random.default_rng(SEED)

    def advance() -> Any:
        x = problem.x
        for slope, linear, pull, kick in problem.constants:
            eta = rng.standard_normal(x.shape, dtype=np.float32)
            x = linear * x + pull * posterior_mean(x, slope) + kick * eta
        return x

    def noiseless() -> Any:
        slope, linear, pull, _ = problem.constants[0]
        return linear * problem.x + pull * posterior_mean(problem.x, slope)

    return advance, noiseless


def numpy_shifts(problem: Problem) -> Steps:
    """Sums of shifted lattices, a pattern at a time."""
    patterns, centers, log_prior = problem.patterns, problem.centers, problem.log_prior
    size = patterns.shape[-1]

    def posterior_mean(x: NDArray[Any], slope: Any) -> NDArray[Any]:
        height, width = x.shape[-2:]
        padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2), mode="wrap")
        logits = np.empty((len(patterns), *x.shape), dtype=x.dtype)
        for k, pattern in enumerate(patterns):
            dots = np.zeros_like(x)
            for u in range(size):
                for v in range(size):
                    shifted = padded[:, u : u + height, v : v + width]
                    (np.add if pattern[u, v] > 0 else np.subtract)(dots, shifted, out=dots)
            logits[k] = slope * dots + log_prior[k]
        logits -= logits.max(axis=0)
        weights = np.exp(logits, out=logits)
        return np.asarray(np.tensordot(centers, weights, axes=1) / weights.sum(axis=0))

    return _loop(problem, posterior_mean)


def numpy_matmul(problem: Problem) -> Steps:
    """All neighbourhoods as columns of one matrix, and a BLAS product with the patterns: the fastest NumPy found."""
    patterns, centers, log_prior = problem.patterns, problem.centers, problem.log_prior[:, None]
    size = patterns.shape[-1]
    rows = patterns.reshape(len(patterns), -1)

    def posterior_mean(x: NDArray[Any], slope: Any) -> NDArray[Any]:
        height, width = x.shape[-2:]
        padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2), mode="wrap")
        columns = np.empty((size, size, *x.shape), dtype=x.dtype)
        for u in range(size):
            for v in range(size):
                columns[u, v] = padded[:, u : u + height, v : v + width]
        logits = rows @ columns.reshape(size * size, -1)
        logits *= slope
        logits += log_prior
        logits -= logits.max(axis=0)
        weights = np.exp(logits, out=logits)
        return np.asarray((centers @ weights / weights.sum(axis=0)).reshape(x.shape))

    return _loop(problem, posterior_mean)
