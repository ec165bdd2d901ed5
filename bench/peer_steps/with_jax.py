"""The step in JAX."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.cases import SEED
from bench.peer_steps.problem import Problem, Steps
from bench.peer_steps.unrolled import paired_mean

__all__ = ["jax_conv", "jax_unrolled"]


def _steps(problem: Problem, posterior_mean: Callable[[Any, Any], Any]) -> Steps:
    def step(state: Any, c: Any) -> Any:
        x, key = state
        key, own = jax.random.split(key)
        eta = jax.random.normal(own, x.shape, x.dtype)
        return (c[1] * x + c[2] * posterior_mean(x, c[0]) + c[3] * eta, key), None

    def run(x: Any, key: Any, constants: Any) -> Any:
        return jax.lax.scan(step, (x, key), constants)[0][0]

    def once(x: Any, c: Any) -> Any:
        return c[1] * x + c[2] * posterior_mean(x, c[0])

    x, constants, key = jnp.asarray(problem.x), jnp.asarray(problem.constants), jax.random.key(SEED)
    compiled = jax.jit(run)
    return lambda: compiled(x, key, constants).block_until_ready(), lambda: np.asarray(jax.jit(once)(x, constants[0]))


def _wrap(problem: Problem, x: Any) -> Any:
    halo = (problem.patterns.shape[-1] // 2,) * 2
    return jnp.pad(x, ((0, 0), halo, halo), mode="wrap")


def jax_conv(problem: Problem) -> Steps:
    """Convolution and softmax over channels, all steps in one compiled scan."""
    kernel = jnp.asarray(problem.patterns)[:, None]

    def posterior_mean(x: Any, slope: Any) -> Any:
        dots = jax.lax.conv_general_dilated(_wrap(problem, x)[:, None], kernel, (1, 1), "VALID")
        weights = jax.nn.softmax(slope * dots + problem.log_prior[:, None, None], axis=1)
        return jnp.einsum("k,tkij->tij", problem.centers, weights)

    return _steps(problem, posterior_mean)


def jax_unrolled(problem: Problem) -> Steps:
    """Every shift written out, one dot product a +- pair, all steps in one compiled scan."""
    unrolled_mean = paired_mean(jnp, problem)
    return _steps(problem, lambda x, slope: unrolled_mean(_wrap(problem, x), x.shape, slope))
