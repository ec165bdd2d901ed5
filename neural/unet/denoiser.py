"""The U-Net of App. D.3 as a denoiser D(x, sigma), for everything that counts in noise levels."""

from ..data import SIDE
from ..denoisers.adapter import AdaptedDenoiser
from ..denoisers.callables import from_callable
from ..denoisers.schedules import ContinuousVPSchedule
from .network import UNet
from .settings import T_MIN

__all__ = ["unet_denoiser"]


def unet_denoiser(net: UNet, image_shape: tuple[int, int, int] = (1, SIDE, SIDE)) -> AdaptedDenoiser:
    """D(x, sigma) for x = x_0 + sigma epsilon, which the network sees as alpha x at the time t = log(1 + sigma^2).

    The module is shared, and put into evaluation mode. Its noise levels go from the shortest training time to EDM's
    80; up to the longest time, sigma = 7e10, nothing of the data is left to denoise.
    Sides that are no multiples of `UNet.TOTAL_STRIDE` are refused by the network.
    """
    schedule = ContinuousVPSchedule()
    schedule.sigma_min = float(schedule.sigma(T_MIN))  # type: ignore[arg-type]
    return from_callable(net, "epsilon", schedule, image_shape=image_shape)
