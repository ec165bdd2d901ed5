"""An independent float64 implementation of the patch model: explicit loops over patterns and shifts, nothing shared."""

import numpy as np


def dot_products(x, patterns):
    """<p_k, y_ij> for every site, (K, L1, L2): entry p[u, v] multiplies x[i + u - R, j + v - R]."""
    radius = patterns.shape[1] // 2
    dots = np.zeros((len(patterns), *x.shape))
    for k, pattern in enumerate(patterns):
        for u in range(patterns.shape[1]):
            for v in range(patterns.shape[2]):
                dots[k] += pattern[u, v] * np.roll(x, (radius - u, radius - v), axis=(0, 1))
    return dots


def neighbourhood_norms(x, size):
    radius = size // 2
    total = np.zeros_like(x)
    for u in range(-radius, radius + 1):
        for v in range(-radius, radius + 1):
            total += np.roll(x, (u, v), axis=(0, 1)) ** 2
    return total


def weights(x, t, patterns, prior):
    """Posterior of every pattern at every site, from the squared distance itself rather than any shortcut."""
    x = np.asarray(x, dtype=np.float64)
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    distance = (
        neighbourhood_norms(x, patterns.shape[1])
        - 2 * alpha * dot_products(x, patterns)
        + alpha**2 * np.sum(patterns**2, axis=(1, 2))[:, None, None]
    )
    logits = np.log(prior)[:, None, None] - distance / (2 * sigma2)
    relative = np.exp(logits - logits.max(axis=0))
    return relative / relative.sum(axis=0)


def posterior_mean(x, t, patterns, prior):
    radius = patterns.shape[1] // 2
    return np.tensordot(patterns[:, radius, radius], weights(x, t, patterns, prior), axes=1)


def score(x, t, patterns, prior):
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    return (alpha * posterior_mean(x, t, patterns, prior) - x) / sigma2


def drift(x, t, patterns, prior):
    return -x / 2 - score(x, t, patterns, prior)
