"""Independent float64 implementations: explicit loops over patterns and shifts, nothing shared with the package.

Fields may carry leading batch axes. The forward process has beta = 1; another rate is a change of time,
``t -> integral of beta``, and a factor beta on the drift.
"""

import numpy as np


def dot_products(x, patterns):
    """<p_k, y_ij> for every site, (K, ..., L1, L2): entry p[u, v] multiplies x[i + u - R, j + v - R]."""
    radius = patterns.shape[1] // 2
    dots = np.zeros((len(patterns), *x.shape))
    for u in range(patterns.shape[1]):
        for v in range(patterns.shape[2]):
            shifted = np.roll(x, (radius - u, radius - v), axis=(-2, -1))
            for k, pattern in enumerate(patterns):
                dots[k] += pattern[u, v] * shifted
    return dots


def neighbourhood_norms(x, size):
    radius = size // 2
    total = np.zeros_like(x)
    for u in range(-radius, radius + 1):
        for v in range(-radius, radius + 1):
            total += np.roll(x, (u, v), axis=(-2, -1)) ** 2
    return total


def logits(x, t, patterns, prior):
    """log pi_k - |y - alpha p_k|^2 / (2 sigma^2), from the squared distance itself rather than any shortcut."""
    x = np.asarray(x, dtype=np.float64)
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    one_each = (-1, *[1] * x.ndim)
    distance = (
        neighbourhood_norms(x, patterns.shape[1])
        - 2 * alpha * dot_products(x, patterns)
        + alpha**2 * np.sum(patterns**2, axis=(1, 2)).reshape(one_each)
    )
    return np.log(prior).reshape(one_each) - distance / (2 * sigma2)


def weights(x, t, patterns, prior):
    """Posterior of every pattern at every site, (K, ..., L1, L2)."""
    log_weights = logits(x, t, patterns, prior)
    relative = np.exp(log_weights - log_weights.max(axis=0))
    return relative / relative.sum(axis=0)


def posterior_mean(x, t, patterns, prior):
    radius = patterns.shape[1] // 2
    return np.tensordot(patterns[:, radius, radius], weights(x, t, patterns, prior), axes=1)


def condition(x, t, patterns, prior):
    """How far the posterior mean moves per unit of relative error in the terms that its logits are made of.

    The logits reach 2.5e4 at t = 1e-3, so no arithmetic knows them, and where patterns compete the posterior mean,
    better than this times its rounding unit.
    """
    x = np.asarray(x, dtype=np.float64)
    alpha, sigma2, radius = np.exp(-t / 2), -np.expm1(-t), patterns.shape[1] // 2
    one_each = (-1, *[1] * x.ndim)
    norms = np.sum(patterns**2, axis=(1, 2)).reshape(one_each)
    magnitude = (
        neighbourhood_norms(x, patterns.shape[1]) + 2 * alpha * np.abs(dot_products(x, patterns)) + alpha**2 * norms
    )
    spread = np.abs(patterns[:, radius, radius].reshape(one_each) - posterior_mean(x, t, patterns, prior))
    return np.sum(weights(x, t, patterns, prior) * spread * magnitude, axis=0) / (2 * sigma2)


def score(x, t, patterns, prior):
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    return (alpha * posterior_mean(x, t, patterns, prior) - x) / sigma2


def drift(x, t, patterns, prior):
    return -x / 2 - score(x, t, patterns, prior)


def empirical_weights(x, t, prototypes, prior):
    """Posterior of whole-lattice prototypes given one field, (M,)."""
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    log_weights = np.log(prior) - np.array([np.sum((x - alpha * mu) ** 2) for mu in prototypes]) / (2 * sigma2)
    relative = np.exp(log_weights - log_weights.max())
    return relative / relative.sum()


def empirical_drift(x, t, prototypes, prior):
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    mean = sum(w * mu for w, mu in zip(empirical_weights(x, t, prototypes, prior), prototypes, strict=True))
    return -x / 2 - (alpha * mean - x) / sigma2


def cosine_mode(shape, n1, n2):
    """Unit-norm cos(2 pi (n1 i / L1 + n2 j / L2))."""
    i, j = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    mode = np.cos(2 * np.pi * (n1 * i / shape[0] + n2 * j / shape[1]))
    return mode / np.sqrt(np.sum(mode**2))


def directional_derivatives(drift, x, modes, eps):
    """v^T (db/dx) v at one field x for every v of ``modes`` (n, L1, L2), by the six-point stencil of order eps^6.

    ``drift`` takes fields with a batch axis.
    """
    total = np.zeros(len(modes))
    for distance, coefficient in ((1, 45), (2, -9), (3, 1)):
        difference = drift(x + distance * eps * modes) - drift(x - distance * eps * modes)
        total += coefficient * np.sum(modes * difference, axis=(-2, -1))
    return total / (60 * eps)


_ROTATIONS = ((10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20))


def threefry4x32(counter, key):
    """Threefry-4x32-20 as its authors write it (Salmon et al., SC11), in plain integers."""
    mask = 0xFFFFFFFF
    schedule = [*key, key[0] ^ key[1] ^ key[2] ^ key[3] ^ 0x1BD11BDA]
    words = [(c + k) & mask for c, k in zip(counter, key, strict=True)]
    for block in range(20):
        left, right = _ROTATIONS[block % 8]
        for first, second, rotation in ((0, 1, left), (2, 3, right)):
            words[first] = (words[first] + words[second]) & mask
            rotated = (words[second] << rotation | words[second] >> (32 - rotation)) & mask
            words[second] = rotated ^ words[first]
        # The second words of both pairs change places after every round.
        words[1], words[3] = words[3], words[1]
        if block % 4 == 3:
            injection = block // 4 + 1
            words = [(w + schedule[(injection + at) % 5]) & mask for at, w in enumerate(words)]
            words[3] = (words[3] + injection) & mask
    return words
