r"""Derivatives of EDM2's drift along Fourier modes of the image (paper App. E.4-E.5).

.. math:: \lambda_v = v^\top \frac{\partial b_\sigma}{\partial x}\, v, \qquad
          b_\sigma = \frac{x - D(x, \sigma, y)}{\sigma}

With EDM2 dx/dsigma = b and sigma falls, so a mode with negative lambda grows along the run. Where the data have no
effect lambda is 1 / sigma along every mode: the process is variance exploding.
"""

from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..analysis import distinct_modes
from ..errors import FastpatchError, InvalidInputError
from ..messages import reason
from ..validation import finite_float, integer
from .batching import in_batches
from .denoiser import Denoiser, checked_labels, drift, image_shape
from .devices import evaluating
from .probes.differentiation import (
    Differentiation,
    QuadraticForms,
    choose_differentiation,
    float32_weights,
    is_out_of_memory,
    quadratic_forms,
)
from .sampler import placed

__all__ = ["Method", "measured_modes", "mode_derivatives", "network_differentiation"]

Method = Literal["auto", "jvp", "vjp", "finite-difference"]

# Evaluations, of a field or of a tangent, carried at once.
_BATCH = 64

# Root mean square change of a pixel in a central difference, in units of sigma. For modes of unit norm that is a step
# of 0.03 sigma at 32 x 32 and 0.1 sigma at 3 x 64 x 64, where D is still linear; float32 rounds it by less than 1e-4.
_RELATIVE_STEP = 1e-3


def mode_derivatives(
    net: Denoiser,
    x: Tensor,
    sigma: float,
    class_labels: ArrayLike | Tensor | None = None,
    *,
    shells: Any = range(7),
    diagonal: bool = False,
    per_channel: bool = False,
    method: Method = "jvp",
    batch: int | None = None,
) -> NDArray[np.float64]:
    """lambda_v at images ``x`` (B, C, H, W) along modes of unit norm, (B, n_shells, n_directions).

    The values of `measured_modes`.
    """
    return measured_modes(
        net, x, sigma, class_labels, shells=shells, diagonal=diagonal, per_channel=per_channel, method=method,
        batch=batch,
    ).values  # fmt: skip


def measured_modes(
    net: Denoiser,
    x: Tensor,
    sigma: float,
    class_labels: ArrayLike | Tensor | None = None,
    *,
    shells: Any = range(7),
    diagonal: bool = False,
    per_channel: bool = False,
    method: Method = "auto",
    batch: int | None = None,
) -> QuadraticForms:
    """lambda_v along modes of unit norm, (B, n_shells, n_directions), how it was differentiated, and its error.

    Parameters
    ----------
    net
        A network in evaluation mode, differentiable by `torch.func.jvp` where that is the method; not checked.
    x, sigma, class_labels
        Where the derivative is taken; x in the precision in which it is to be taken, on any device.
    shells, diagonal
        The modes of `fourier_modes`.
    per_channel
        By default a mode changes all channels alike, hence the luminance and no colour. Otherwise it changes one
        channel, in turn, and the result is (B, C, n_shells, n_directions).
    method
        ``"jvp"`` and ``"vjp"``, exact by forward and by reverse mode, or ``"finite-difference"``, the paper's central
        differences with a step in proportion to sigma (App. F.2); ``"auto"`` is what `network_differentiation` finds.
    batch
        Most evaluations and tangents carried at once, 64 by default, which bounds the memory; where CUDA runs out of
        it, fewer images are.

    Computed in the precision of x, by weights of float32 at least, summed over pixels in float64. Along the softest
    modes sigma lambda is a difference of nearly equal numbers: in float32 it errs by some 1e-6.

    Raises `InvalidInputError` or `DtypeError` for an unknown method, images of another size, a noise level that is not
    positive, or labels and modes that `checked_labels` and `fourier_modes` refuse.
    """
    level = finite_float(sigma, "sigma")
    if level <= 0.0:
        raise InvalidInputError(f"sigma is {level}; expected a positive noise level")
    if method not in get_args(Method):
        raise InvalidInputError(f"method is {method!r}; expected one of {', '.join(map(repr, get_args(Method)))}")
    image = image_shape(net)
    if x.ndim != 4 or tuple(x.shape[1:]) != image or not len(x):
        raise InvalidInputError(f"x has shape {tuple(x.shape)}; expected (B, {', '.join(map(str, image))})")
    labels = checked_labels(net, class_labels, len(x))
    waves, position = distinct_modes(image[1:], shells, diagonal)
    channels = np.eye(image[0]) if per_channel else np.full((1, image[0]), 1.0 / np.sqrt(image[0]))
    modes = np.einsum("ac,mij->amcij", channels, waves).reshape(-1, *image)

    target = placed(net, None)
    directions = torch.from_numpy(modes).to(target, x.dtype)
    at_once = _BATCH if batch is None else integer(batch, "batch", minimum=1)
    exact = float32_weights(net)
    mode = network_differentiation(exact, x[:1], level, labels) if method == "auto" else method

    def along_all(part: slice) -> QuadraticForms:
        y = None if labels is None else labels[part].to(target)
        fields = x[part].to(target)
        # All fields of a part share one call of the drift, since their labels go with them.
        try:
            return quadratic_forms(
                partial(drift, exact, sigma=level, class_labels=y), fields, directions,
                batch=len(fields) * (min(len(directions), at_once) if mode == "jvp" else 1), method=mode,
                step=_step(level, image),
            )  # fmt: skip
        except (RuntimeError, NotImplementedError) as error:
            if mode == "finite-difference" or isinstance(error, FastpatchError) or is_out_of_memory(error):
                raise
            raise InvalidInputError(
                f"the network cannot be differentiated by {mode} ({reason(error)}); expected method 'auto', which "
                "finds what it allows"
            ) from error

    with evaluating(target):
        parts = in_batches(along_all, len(x), max(1, at_once // len(directions)))

    def arranged(found: NDArray[np.float64]) -> NDArray[np.float64]:
        by_channel = found.reshape(len(x), len(channels), len(waves))[..., position]
        return by_channel if per_channel else by_channel[:, 0]

    errors = [part.error for part in parts if part.error is not None]
    return QuadraticForms(
        arranged(np.concatenate([part.values for part in parts])),
        mode,
        arranged(np.concatenate(errors)) if errors else None,
    )


def network_differentiation(
    net: Denoiser, x: Tensor, sigma: float, class_labels: ArrayLike | Tensor | None = None
) -> Differentiation:
    """How the drift of ``net`` can be differentiated, tried at the first of the images ``x`` (B, C, H, W)."""
    target = placed(net, None)
    # Twice: a batch of one has no stride along it, and torch's forward mode accepts some of these alone.
    labels = None if class_labels is None else torch.as_tensor(class_labels)[:1].repeat(2).to(target)
    with evaluating(target):
        return choose_differentiation(
            partial(drift, net, sigma=sigma, class_labels=labels),
            x[:1].repeat(2, 1, 1, 1).to(target),
            _step(sigma, image_shape(net)),
        )


def _step(sigma: float, image: tuple[int, int, int]) -> float:
    return float(_RELATIVE_STEP * sigma * np.sqrt(np.prod(image)))
