"""The softest mode of a network's drift at an image, by products with its whole Jacobian and its transpose."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...analysis import SoftestMode
from ...analysis import softest_mode as softest_mode_of_products
from ...errors import InvalidInputError
from ...validation import finite_float
from ..denoiser import Denoiser, checked_labels, drift, image_shape
from ..jvp import jacobian_products
from .differentiation import float32_weights, is_out_of_memory

__all__ = ["softest_mode"]


def softest_mode(
    net: Denoiser,
    x: Tensor,
    sigma: float,
    class_labels: ArrayLike | Tensor | None = None,
    **options: Any,
) -> list[SoftestMode]:
    r"""The lowest modes of the symmetric part of :math:`\partial b_\sigma/\partial x`, b = (x - D)/sigma, by image.

    Parameters
    ----------
    net
        A denoiser in evaluation mode that torch can differentiate in reverse mode, twice where its forward mode is not
        implemented: J v is then the derivative of J^T u in u.
    x
        Images (B, C, H, W) on the network's device, float32 or float64.
    sigma, class_labels
        As a call of the network takes them.
    options
        Those of `fastpatch.analysis.softest_mode`; an eigenvalue costs some tens of products, each about two
        evaluations. The default tolerance is 1e-4 here, what float32 allows.

    Returns one result an image, modes (n, C, H, W). `posterior_gain_edm` turns eigenvalues into gains, of which the
    largest exceeds 1 where log p has ceased to be concave. Raises what these functions raise.
    """
    level = finite_float(sigma, "sigma")
    if level <= 0.0:
        raise InvalidInputError(f"sigma is {level}; expected a positive noise level")
    if tuple(x.shape[1:]) != image_shape(net) or x.ndim != 4:
        raise InvalidInputError(f"x has shape {tuple(x.shape)}; expected (B, *{image_shape(net)})")
    labels = checked_labels(net, class_labels, len(x))
    wide = float32_weights(net)
    found = []
    for at in range(len(x)):
        one = None if labels is None else labels[at : at + 1].to(x.device)
        products = _Products(wide, x[at : at + 1], level, one)
        found.append(
            softest_mode_of_products(
                products.forward, products.transposed, tuple(x.shape[1:]), **{"tolerance": 1e-4, **options}
            )
        )
    return found


class _Products:
    """Products of one image's Jacobian with vectors that are float64 arrays (C, H, W)."""

    def __init__(self, net: Any, x: Tensor, sigma: float, labels: Tensor | None) -> None:
        self._x = x.detach()
        self._net, self._sigma, self._labels = net, sigma, labels
        self._double_reverse = False

    def _function(self, y: Tensor) -> Tensor:
        return drift(self._net, y, self._sigma, self._labels)

    def forward(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        tangent = self._tensor(v)
        with sdpa_kernel(SDPBackend.MATH):
            if not self._double_reverse:
                try:
                    return self._array(jacobian_products(self._function, self._x, tangent, 1)[0])
                except (RuntimeError, NotImplementedError) as error:
                    if is_out_of_memory(error):
                        raise
                    self._double_reverse = True
            with torch.enable_grad():
                point = self._x.clone().requires_grad_(True)
                dummy = torch.zeros_like(point, requires_grad=True)
                (back,) = torch.autograd.grad(self._function(point), point, dummy, create_graph=True)
                return self._array(torch.autograd.grad(back, dummy, tangent)[0])

    def transposed(self, w: NDArray[np.float64]) -> NDArray[np.float64]:
        with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
            point = self._x.clone().requires_grad_(True)
            return self._array(torch.autograd.grad(self._function(point), point, self._tensor(w))[0])

    def _tensor(self, v: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(v)).to(self._x)[None]

    @staticmethod
    def _array(value: Tensor) -> NDArray[np.float64]:
        return np.asarray(value.detach().double().cpu().numpy()[0])
