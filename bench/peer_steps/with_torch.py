"""The step in torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from bench.cases import SEED
from bench.peer_steps.problem import Problem, Steps
from bench.peer_steps.unrolled import paired_mean

__all__ = ["torch_compile", "torch_compile_unrolled", "torch_eager"]


def _posterior_mean(problem: Problem, unrolled: bool) -> Callable[[Any, Any], Any]:
    kernel = torch.from_numpy(problem.patterns)[:, None]
    centers = torch.from_numpy(problem.centers)
    log_prior = torch.from_numpy(problem.log_prior)[:, None, None]
    halo = (problem.patterns.shape[-1] // 2,) * 4
    unrolled_mean = paired_mean(torch, problem)

    def posterior_mean(x: Any, slope: Any) -> Any:
        padded = functional.pad(x[:, None], halo, mode="circular")
        if unrolled:
            return unrolled_mean(padded[:, 0], x.shape, slope)
        weights = torch.softmax(slope * functional.conv2d(padded, kernel) + log_prior, dim=1)
        return torch.einsum("k,tkij->tij", centers, weights)

    return posterior_mean


def _steps(problem: Problem, *, unrolled: bool, compiled: bool) -> Steps:
    torch.manual_seed(SEED)
    posterior_mean = _posterior_mean(problem, unrolled)

    def step(x: Any, eta: Any, slope: Any, linear: Any, pull: Any, kick: Any) -> Any:
        return linear * x + pull * posterior_mean(x, slope) + kick * eta

    if compiled:
        step = torch.compile(step, dynamic=False)
    start, constants = torch.from_numpy(problem.x), [tuple(c) for c in torch.from_numpy(problem.constants)]

    # Noise is drawn outside the compiled step, because torch's own generator is faster than compiled code's.
    @torch.inference_mode()
    def advance() -> Any:
        x = start
        for c in constants:
            x = step(x, torch.randn_like(x), *c)
        return x

    @torch.inference_mode()
    def noiseless() -> Any:
        return step(start, torch.zeros_like(start), *constants[0]).numpy()

    return advance, noiseless


def torch_eager(problem: Problem) -> Steps:
    """Convolution and softmax over channels."""
    return _steps(problem, unrolled=False, compiled=False)


def torch_compile(problem: Problem) -> Steps:
    """The same, compiled."""
    return _steps(problem, unrolled=False, compiled=True)


def torch_compile_unrolled(problem: Problem) -> Steps:
    """Every shift written out, one dot product a +- pair, compiled."""
    return _steps(problem, unrolled=True, compiled=True)
