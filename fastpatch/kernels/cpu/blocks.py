"""The softmax over the units of a large dictionary, a block of logits at a time, for `fastpatch.kernels.dense`."""

from ..jit import entry
from .exponentials import exp2, power_of_two, powers_of_two, shift
from .intrinsics import fma, load, nearest, read, store

__all__ = ["fold_block", "respond_block"]


@entry()
def fold_block(z, exponents, factors, centers, n_pairs, top, raised, weighted, total):
    """Fold the logits z (units, sites) without priors of some units into a streaming softmax over sites.

    ``top``, integers, ``weighted`` and ``total`` hold the top logit so far, the sum of centre pixels and that of
    weights, both relative to it; ``raised`` is working space. The first ``n_pairs`` units are pairs.
    """
    units, sites = z.shape
    for f in range(sites):
        store(raised, f, load(top, f))
    for k in range(units):
        at, exponent = k * sites, exponents[k]
        if k < n_pairs:
            for f in range(sites):
                store(raised, f, max(read(raised, f), abs(load(z, at + f)) + exponent))
        else:
            for f in range(sites):
                store(raised, f, max(read(raised, f), load(z, at + f) + exponent))
    for f in range(sites):
        store(raised, f, nearest(read(raised, f)))
    for f in range(sites):
        fade = exp2(load(top, f) - load(raised, f))
        weighted[f] *= fade
        total[f] *= fade
    for f in range(sites):
        store(top, f, load(raised, f))
    for k in range(units):
        at, factor, weight = k * sites, factors[k], centers[k] * factors[k]
        base = exponents[k] + shift(factor)
        if k < n_pairs:
            for f in range(sites):
                both, bias = powers_of_two(load(z, at + f), load(top, f), base)
                weighted[f] = fma(weight, bias, weighted[f])
                total[f] = fma(factor, both, total[f])
        else:
            for f in range(sites):
                power = power_of_two(load(z, at + f), load(top, f), base)
                weighted[f] = fma(weight, power, weighted[f])
                total[f] = fma(factor, power, total[f])


@entry()
def respond_block(z, exponents, factors, centers, n_pairs, top, total, mean):
    """Turn the logits of some units, see `fold_block`, in place into their response, see `posterior`."""
    units, sites = z.shape
    for k in range(units):
        at, factor, c = k * sites, factors[k], centers[k]
        base = exponents[k] + shift(factor)
        if k < n_pairs:
            for f in range(sites):
                both, bias = powers_of_two(read(z, at + f), load(top, f), base)
                store(z, at + f, factor * (c * both - load(mean, f) * bias) / load(total, f))
        else:
            for f in range(sites):
                power = power_of_two(read(z, at + f), load(top, f), base)
                store(z, at + f, factor * power * (c - load(mean, f)) / load(total, f))
