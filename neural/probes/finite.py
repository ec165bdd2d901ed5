"""Where a network first leaves the finite numbers."""

from typing import Any

import torch
from torch import Tensor, nn

from ...errors import FastpatchError
from ..denoiser import Denoiser
from ..sampler import Samples, placed

__all__ = ["NotFiniteError", "check_runs", "checked_finite"]


class NotFiniteError(FastpatchError, ArithmeticError):
    """A network returned NaN or an infinity."""


def checked_finite(net: Denoiser, denoised: Tensor, x: Tensor, sigma: float, class_labels: Tensor | None) -> Tensor:
    """``denoised``, the value of ``net`` at these arguments, if it is finite.

    Raises `NotFiniteError` that names the noise level and the first layer whose output is not finite, for which the
    network is evaluated once more.
    """
    if bool(torch.isfinite(denoised).all()):
        return denoised
    layer = _first_layer(net, x, sigma, class_labels)
    where = "" if layer is None else f", first in its layer {layer}"
    raise NotFiniteError(
        f"the network returns values that are not finite at noise level sigma = {sigma:g}{where}; "
        "expected finite images (weights in half precision overflow where float32 does not)"
    )


def check_runs(net: Denoiser, runs: Samples, class_labels: Tensor | None) -> None:
    """Raise `NotFiniteError` for the first level at which recorded runs are no longer finite."""
    target = placed(net, None)
    y = None if class_labels is None else class_labels.to(target)
    for x, denoised, sigma in zip(runs.states, runs.denoised, runs.sigmas, strict=True):
        if not torch.isfinite(denoised).all():
            checked_finite(net, denoised, x.to(target), float(sigma), y)


def _first_layer(net: Denoiser, x: Tensor, sigma: float, class_labels: Tensor | None) -> str | None:
    if not isinstance(net, nn.Module):
        return None
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            value = output[0] if isinstance(output, tuple) and output else output
            if isinstance(value, Tensor) and value.is_floating_point() and not torch.isfinite(value).all():
                found.append(name)

        return hook

    # Leaves only: a container is not finite because one of them is not, and ends after it.
    leaves = [(name, module) for name, module in net.named_modules() if not list(module.children())]
    hooks = [module.register_forward_hook(watch(name)) for name, module in leaves]
    try:
        with torch.no_grad():
            net(x, sigma, class_labels)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None
