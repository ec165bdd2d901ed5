r"""Quadratic forms :math:`v^\top J v` of networks that forward-mode differentiation does not always reach.

Fused attention kernels have no forward derivative, so everything here runs on the mathematical one. Where forward
mode still fails, reverse mode gives the same number as :math:`(J^\top v) \cdot v`; where a network cannot be
differentiated at all, or detaches its input, central differences do, with their error.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...errors import InvalidInputError
from ..jvp import jacobian_products
from ..vjp import transposed_products

__all__ = ["Differentiation", "QuadraticForms", "choose_differentiation", "float32_weights"]
__all__ += ["is_out_of_memory", "quadratic_forms"]

Differentiation = Literal["jvp", "vjp", "finite-difference"]
Function = Callable[[Tensor], Tensor]

# Where a part of the input is detached, a derivative misses more than a difference in float32 errs by.
_TRIALS, _TOLERANCE = 6, 0.25


@dataclass(frozen=True, eq=False)
class QuadraticForms:
    """``values`` (B, M), float64, of `method`, and for differences their estimated ``error`` (B, M), else None."""

    values: NDArray[np.float64]
    method: Differentiation
    error: NDArray[np.float64] | None = None


def quadratic_forms(
    function: Function,
    x: Tensor,
    directions: Tensor,
    *,
    batch: int = 64,
    method: Differentiation = "jvp",
    step: float = 1e-3,
) -> QuadraticForms:
    r""":math:`v_m^\top J(x_b)\,v_m` for every field x (B, …) and direction (M, …), used as they are.

    Parameters
    ----------
    function
        From (n, …) to the same shape for any n, treating fields independently (not checked).
    batch
        Most pairs (field, direction) carried at once by forward mode, most fields at once otherwise; bounds the memory.
    method
        ``"jvp"``, ``"vjp"`` or ``"finite-difference"``; `choose_differentiation` finds which is possible. Of a network
        with reverse mode, a direction costs two evaluations; the graph of ``batch`` fields is held meanwhile.
    step
        Norm h of the displacement of the central differences. Their error is estimated from a second step 2 h, as
        :math:`|f_{2h} - f_h| / 3` of the truncation of order h^2, plus the rounding of two evaluations
        in the precision of x.

    Raises `InvalidInputError` for another method; whatever the function raises.
    """
    with sdpa_kernel(SDPBackend.MATH):
        if method == "jvp":
            products = jacobian_products(function, x, directions, batch)
            return QuadraticForms(_contracted(products, directions), "jvp")
        if method == "vjp":
            products = transposed_products(function, x, directions, batch)
            return QuadraticForms(_contracted(products, directions), "vjp")
        if method == "finite-difference":
            found = [_differences(function, fields, directions, step) for fields in torch.split(x, batch)]
            values, error = (np.concatenate(one) for one in zip(*found, strict=True))
            return QuadraticForms(values, "finite-difference", error)
    raise InvalidInputError(f"method is {method!r}; expected 'jvp', 'vjp' or 'finite-difference'")


def choose_differentiation(function: Function, x: Tensor, step: float) -> Differentiation:
    """The first of forward mode, reverse mode and differences that works at the fields ``x`` (B, …), all at once.

    Each must also agree to within a quarter with central differences of norm ``step`` along random directions, which
    the derivative of a network that detaches or converts its input does not, as far as the differences are certain.
    The answer is that of differences alone where all of them fail.
    """
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(_TRIALS, *x.shape[1:], generator=generator, dtype=torch.float64)
    directions = (directions / directions.flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1))).to(x.device, x.dtype)
    expected, error = _differences(function, x, directions, step)
    # Differences that are themselves uncertain refute nothing.
    allowed = _TOLERANCE * np.linalg.norm(expected) + 4.0 * np.linalg.norm(error)
    for method in ("jvp", "vjp"):
        try:
            found = quadratic_forms(function, x, directions, batch=len(x) * _TRIALS, method=method).values
        except (RuntimeError, NotImplementedError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            continue
        if np.linalg.norm(found - expected) <= allowed:
            return method
    return "finite-difference"


def float32_weights(net: Any) -> Any:
    """``net`` itself, or a float32 copy where its weights are shorter: derivatives are taken in float32.

    Networks that are no modules, or hold float32 or float64, are passed on.
    """
    if not isinstance(net, nn.Module):
        return net
    short = [p for p in net.parameters() if p.is_floating_point() and p.dtype.itemsize < torch.float32.itemsize]
    return copy.deepcopy(net).float() if short else net


def _differences(
    function: Function, x: Tensor, directions: Tensor, step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    def forms(h: float) -> NDArray[np.float64]:
        found = [
            ((function(x + h * v).double() - function(x - h * v).double()) * v.double()).flatten(1).sum(1) / (2.0 * h)
            for v in directions
        ]
        return np.asarray(torch.stack(found, dim=1).cpu().numpy())

    with torch.no_grad():
        values, coarse = forms(step), forms(2.0 * step)
        size = function(x).double().flatten(1).norm(dim=1).cpu().numpy()
    rounding = torch.finfo(x.dtype).eps * size[:, None] / step
    return values, np.abs(values - coarse) / 3.0 + rounding


def _contracted(products: Tensor, directions: Tensor) -> NDArray[np.float64]:
    flat, v = products.double().flatten(2), directions.double().flatten(1)
    return np.asarray(torch.einsum("bmi,mi->bm", flat, v).cpu().numpy())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a computation failed for want of memory, on a GPU or not, rather than because it is not possible."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or "allocate memory" in str(error)
