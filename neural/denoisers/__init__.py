"""Anybody's diffusion model as one denoiser: ``net(x, sigma, class_labels=None) -> D(x)``, x (B, C, H, W).

The public names load on first use, and need torch (``pip install "fastpatch[neural]"``); `from_diffusers` needs
diffusers (``pip install "fastpatch[diffusers]"``).
"""

from typing import TYPE_CHECKING

from ...lazy import lazily

if TYPE_CHECKING:
    from ..denoiser import Denoiser, image_shape
    from .adapter import AdaptedDenoiser
    from .callables import from_callable, from_denoising_diffusion_pytorch
    from .loading import from_diffusers
    from .schedules import ContinuousVPSchedule, DirectSchedule, EDMSchedule, FlowSchedule, NoiseSchedule, VPSchedule

_HOME = {
    "AdaptedDenoiser": "adapter",
    "ContinuousVPSchedule": "schedules",
    "Denoiser": ".denoiser",
    "DirectSchedule": "schedules",
    "EDMSchedule": "schedules",
    "FlowSchedule": "schedules",
    "NoiseSchedule": "schedules",
    "VPSchedule": "schedules",
    "from_callable": "callables",
    "from_denoising_diffusion_pytorch": "callables",
    "from_diffusers": "loading",
    "image_shape": ".denoiser",
}

__all__ = [
    "AdaptedDenoiser",
    "ContinuousVPSchedule",
    "Denoiser",
    "DirectSchedule",
    "EDMSchedule",
    "FlowSchedule",
    "NoiseSchedule",
    "VPSchedule",
    "from_callable",
    "from_denoising_diffusion_pytorch",
    "from_diffusers",
    "image_shape",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
