"""The posterior mean as the best hand-written form for a compiler, in torch and JAX alike."""

from collections.abc import Callable
from typing import Any

from bench.peer_steps.problem import Problem

__all__ = ["paired_mean"]


def paired_mean(xp: Any, problem: Problem) -> Callable[[Any, tuple[int, ...], Any], Any]:
    """Posterior mean of a padded state, every shift written out and one dot product a +- pair, in torch or jax.numpy.

    The default dictionary is nothing but +- pairs of equal prior.
    """
    patterns = problem.patterns
    chosen = [k for k, p in enumerate(patterns) if not (patterns[:k] == -p).all(axis=(1, 2)).any()]
    signs = [patterns[k].tolist() for k in chosen]
    biases = [float(problem.log_prior[k]) for k in chosen]
    centers = [float(problem.centers[k]) for k in chosen]
    size = patterns.shape[-1]

    def posterior_mean(padded: Any, shape: tuple[int, ...], slope: Any) -> Any:
        height, width = shape[-2:]
        logits = []
        for pattern in signs:
            dot: Any = 0.0
            for u in range(size):
                for v in range(size):
                    shifted = padded[:, u : u + height, v : v + width]
                    dot = dot + shifted if pattern[u][v] > 0 else dot - shifted
            logits.append(slope * dot)
        top: Any = None
        for logit, bias in zip(logits, biases, strict=True):
            larger = xp.abs(logit) + bias
            top = larger if top is None else xp.maximum(top, larger)
        mean: Any = 0.0
        total: Any = 0.0
        for logit, bias, center in zip(logits, biases, centers, strict=True):
            plus, minus = xp.exp(logit + (bias - top)), xp.exp((bias - top) - logit)
            mean = mean + center * (plus - minus)
            total = total + (plus + minus)
        return mean / total

    return posterior_mean
