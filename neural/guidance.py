r"""Guidance that depends on the noise level, and pulses of it (paper App. F.1 and F.4).

.. math:: D_\mathrm{cfg} = D + w(\sigma)\,P\,(D - D_u)

with the conditional denoiser D, the guide :math:`D_u`, a weight w and a projection P on a band of spatial frequencies,
the identity by default. EDM2's own convention is g = 1 + w.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..validation import finite_float
from .denoiser import Denoiser, image_shape

__all__ = ["LOW_SHELLS", "Band", "Guidance", "Guide", "GuidedDenoiser", "Pulse", "check_guide", "constant"]
__all__ += ["guide_estimate", "project"]

Guidance = Callable[[float], float]
Band = Literal["all", "low", "high"]
Guide = Denoiser | Literal["zero-label"]

# The highest shell of the modes on which xi_eq is fitted, whose softening the theory is about.
LOW_SHELLS = 3.0


def constant(weight: float) -> Guidance:
    """The same weight w at every noise level."""
    value = finite_float(weight, "weight")

    def w(sigma: float) -> float:
        return value

    return w


@dataclass(frozen=True)
class Pulse:
    r"""The weight w in :math:`[\sigma_c - \Delta, \sigma_c + \Delta]`, both ends included, and 0 outside (App. F.4).

    Attributes
    ----------
    centre, half_width
        sigma_c and Delta, positive.
    weight
        w_pulse.

    Raises `InvalidInputError` or `DtypeError` for values that are not finite, or not positive where they must be.
    """

    centre: float
    half_width: float
    weight: float

    def __post_init__(self) -> None:
        for name in ("centre", "half_width"):
            value = finite_float(getattr(self, name), f"the pulse's {name}")
            if value <= 0.0:
                raise InvalidInputError(f"the pulse's {name} is {value}; expected a positive noise level")
        finite_float(self.weight, "the pulse's weight")

    @property
    def window(self) -> tuple[float, float]:
        """First and last noise level of the pulse; the first is negative where Delta exceeds sigma_c."""
        return self.centre - self.half_width, self.centre + self.half_width

    def __call__(self, sigma: float) -> float:
        low, high = self.window
        return self.weight if low <= sigma <= high else 0.0

    def check_range(self, sigma_min: float, sigma_max: float) -> None:
        """Raise `InvalidInputError` where the window lies wholly outside the noise levels of a run.

        A window that reaches beyond them, or falls between two of its steps, is left alone: the paper's random pulses
        do both.
        """
        low, high = self.window
        if high < sigma_min or low > sigma_max:
            raise InvalidInputError(
                f"the pulse acts at noise levels from {low:g} to {high:g}; expected some of [{sigma_min:g}, "
                f"{sigma_max:g}], where the run is"
            )


def project(direction: Tensor, band: Band, cutoff: float = LOW_SHELLS) -> Tensor:
    r"""The part of images (..., H, W) in a band of spatial frequencies, by a mask on their Fourier transform.

    ``"low"`` keeps the wave vectors :math:`2\pi (m_y / H, m_x / W)` with :math:`m_y^2 + m_x^2 \le n^2`, n = ``cutoff``
    in units of the shell number; ``"high"`` is the rest, so that both add up to the whole; ``"all"`` is the identity.
    """
    if band == "all":
        return direction
    height, width = direction.shape[-2:]
    rows = torch.fft.fftfreq(height, 1.0 / height, device=direction.device)
    columns = torch.fft.rfftfreq(width, 1.0 / width, device=direction.device)
    passed = rows[:, None] ** 2 + columns**2 <= cutoff**2
    low: Tensor = torch.fft.irfft2(torch.fft.rfft2(direction) * passed, s=(height, width))
    return low if band == "low" else direction - low


class GuidedDenoiser:
    """D_cfg of one batch of images, which counts the evaluations that it makes.

    Parameters
    ----------
    net
        The network to be guided.
    class_labels
        Labels of the batch, as `checked_labels` gives them, on the network's device.
    guide
        D_u: another network of the same images, called with the same labels if it has labels; ``"zero-label"``, the
        same network without a label; None where ``guidance`` is None.
    guidance
        w(sigma), evaluated at the noise level of every call. Where it is 0 the guide is not evaluated and the result
        is that of ``net`` bit for bit; None is 0 throughout.
    band, cutoff
        Those of `project`.

    Attributes
    ----------
    evaluations, guide_evaluations : int
        Calls of either network so far.

    Raises `InvalidInputError` for an unknown band, a cutoff that is not positive, guidance without a guide, or a guide
    that `check_guide` refuses; on a call, for a weight that is not finite.
    """

    def __init__(
        self,
        net: Denoiser,
        class_labels: Tensor | None = None,
        *,
        guide: Guide | None = None,
        guidance: Guidance | None = None,
        band: Band = "all",
        cutoff: float = LOW_SHELLS,
    ) -> None:
        if band not in get_args(Band):
            raise InvalidInputError(f"band is {band!r}; expected one of {', '.join(map(repr, get_args(Band)))}")
        self._cutoff = finite_float(cutoff, "cutoff")
        if self._cutoff <= 0.0:
            raise InvalidInputError(f"cutoff is {self._cutoff}; expected a positive shell number")
        if guidance is not None and guide is None:
            raise InvalidInputError("guidance is given without a guide; expected a network or 'zero-label'")
        if guide is not None:
            check_guide(net, guide)
        self._net, self._labels = net, class_labels
        self._guide: Guide = "zero-label" if guide is None else guide  # without guidance it is never called
        self._guidance, self._band = guidance, band
        self.evaluations = self.guide_evaluations = 0

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """D_cfg(x, sigma) of the whole batch (B, C, H, W)."""
        self.evaluations += 1
        denoised: Tensor = self._net(x, sigma, self._labels)
        weight = 0.0 if self._guidance is None else finite_float(self._guidance(sigma), f"w({sigma:g})")
        if weight == 0.0:
            return denoised
        self.guide_evaluations += 1
        direction = denoised - guide_estimate(self._net, self._guide, x, sigma, self._labels)
        return denoised + weight * project(direction, self._band, self._cutoff)


def guide_estimate(net: Denoiser, guide: Guide, x: Tensor, sigma: float, class_labels: Tensor | None) -> Tensor:
    """D_u(x, sigma): ``net`` without label for ``"zero-label"``, else the guide, with labels if it has any."""
    found: Tensor
    if isinstance(guide, str):
        found = net(x, sigma, None)
    else:
        found = guide(x, sigma, class_labels if guide.label_dim else None)
    return found


def check_guide(net: Denoiser, guide: Guide) -> None:
    """Raise `InvalidInputError` unless ``guide`` can guide ``net``: same images, and the same labels or none."""
    if isinstance(guide, str):
        if guide != "zero-label":
            raise InvalidInputError(f"guide is {guide!r}; expected a network or 'zero-label'")
        if net.label_dim == 0:
            raise InvalidInputError("guide is 'zero-label' for a network without labels; expected another network")
        if not getattr(net, "has_unconditional", True):
            raise InvalidInputError(
                f"the network of {net.label_dim} classes has no unconditional counterpart; expected its null_label "
                "(--null-label), the index that was trained as 'no class', its null_condition, or another guide"
            )
        return
    images = ["x".join(map(str, image_shape(one))) for one in (guide, net)]
    if images[0] != images[1]:
        raise InvalidInputError(f"the guide is for images {images[0]}; expected those of the network, {images[1]}")
    if guide.label_dim not in (0, net.label_dim):
        raise InvalidInputError(
            f"the guide has {guide.label_dim} labels; expected none, or the network's {net.label_dim}"
        )
