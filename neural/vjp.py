"""Directional responses of a torch function by reverse-mode differentiation."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["transposed_products"]


def transposed_products(function: Callable[[Tensor], Tensor], x: Tensor, directions: Tensor, batch: int) -> Tensor:
    r"""The products :math:`J(x_b)^\top v_m` of every field with every direction, (B, M, ...).

    Parameters
    ----------
    function
        From (n, ...) to the same shape, for any n; it must treat the n fields independently of one another, which is
        not checked, and consist of operations that torch can differentiate backward.
    x : (B, ...)
    directions : (M, ...), or (B, M, ...) where every field has its own; used as they are.
    batch
        Most fields whose graph is held at once. It is built once and gone through backward once for each direction,
        which of a network costs about one evaluation; forward mode (`jacobian_products`) costs two and more.
    """
    own = directions.expand(len(x), *directions.shape[-x.ndim :])
    parts = zip(torch.split(x, batch), torch.split(own, batch), strict=True)
    return torch.cat([_backward(function, fields, along) for fields, along in parts])


def _backward(function: Callable[[Tensor], Tensor], fields: Tensor, directions: Tensor) -> Tensor:
    with torch.enable_grad():
        point = fields.detach().requires_grad_(True)
        value = function(point)
        found = [torch.autograd.grad(value, point, v, retain_graph=True)[0] for v in directions.unbind(1)]
    return torch.stack(found, dim=1)
