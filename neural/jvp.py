"""Directional responses of a torch function by forward-mode differentiation."""

import threading
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["jacobian_products"]

# torch numbers the levels of forward differentiation for the whole process: a thread that ends would end another's.
_LEVELS = threading.RLock()


def jacobian_products(function: Callable[[Tensor], Tensor], x: Tensor, directions: Tensor, batch: int) -> Tensor:
    r"""The products :math:`J(x_b)\,v_m` of every field with every direction, (B, M, ...).

    Parameters
    ----------
    function
        From (n, ...) to the same shape, for any n; it must treat the n fields independently of one another, which is
        not checked, and consist of operations that `torch.func` can differentiate forward.
    x : (B, ...)
    directions : (M, ...), used as they are.
    batch
        Largest number of pairs (field, direction) carried at once. A call evaluates the function once on its fields
        and propagates all its tangents together, so that a tangent costs about one evaluation more, where separate
        calls would cost two; the memory is that of ``batch`` evaluations.
    """
    at_once = min(len(directions), batch)
    fields_at_once = max(1, batch // at_once)
    with torch.no_grad(), warnings.catch_warnings():
        # torch itself calls its deprecated torch.jit.script when it first loads the forward derivatives.
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        return torch.cat(
            [
                torch.cat([_pairs(function, fields, some) for some in torch.split(directions, at_once)], dim=1)
                for fields in torch.split(x, fields_at_once)
            ]
        )


def _pairs(function: Callable[[Tensor], Tensor], fields: Tensor, directions: Tensor) -> Tensor:
    def along(direction: Tensor) -> Tensor:
        # Repeated, not expanded: in-place operations of some networks refuse tangents that share memory.
        tangents = direction.repeat(len(fields), *[1] * direction.ndim)
        response: Tensor = torch.func.jvp(function, (fields,), (tangents,))[1]
        return response

    with _LEVELS:
        return torch.func.vmap(along, out_dims=1)(directions)
