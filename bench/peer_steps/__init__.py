"""The patch step (eqs. 36-42), noise included, as one would write it by hand in NumPy, torch and JAX."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

from bench.peer_steps.problem import Problem, Steps

__all__ = ["forget_compiled_code", "peers_at_hand", "set_peer_threads"]


@cache
def peers_at_hand() -> dict[str, Callable[[Problem], Steps]]:
    """The contenders whose framework is installed, by name."""
    from bench.peer_steps import with_numpy

    found: dict[str, Callable[[Problem], Steps]] = {
        "NumPy, shifts": with_numpy.numpy_shifts,
        "NumPy, matrix product": with_numpy.numpy_matmul,
    }
    if find_spec("torch") is not None:
        from bench.peer_steps import with_torch

        found |= {
            "torch eager": with_torch.torch_eager,
            "torch.compile": with_torch.torch_compile,
            "torch.compile, unrolled": with_torch.torch_compile_unrolled,
        }
    if find_spec("jax") is not None:
        from bench.peer_steps import with_jax

        found |= {"JAX, conv": with_jax.jax_conv, "JAX, unrolled": with_jax.jax_unrolled}
    return found


def set_peer_threads(count: int) -> None:
    """Limit torch, the one peer whose threads are not settled by the environment alone."""
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(count)


def forget_compiled_code() -> None:
    """Before another lattice: torch falls back to eager mode, silently, once it has compiled a function for eight."""
    if find_spec("torch") is not None:
        import torch

        torch.compiler.reset()
