"""EDM2's training loss (Karras et al., arXiv:2206.00364, Eq. 2 and Table 1; arXiv:2312.02696, Eq. 21)."""

import torch
from torch import Tensor

from .network import EDM2Network

__all__ = ["denoising_loss", "training_sigma"]


def training_sigma(normal: Tensor, p_mean: float, p_std: float) -> Tensor:
    """Noise levels with log sigma ~ N(p_mean, p_std^2), from standard normal numbers of any shape."""
    return torch.exp(p_mean + p_std * normal)


def denoising_loss(
    net: EDM2Network,
    x0: Tensor,
    sigma: Tensor,
    noise: Tensor,
    label_rows: Tensor,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Mean over images and pixels of lambda(sigma) |D - x0|^2 / u^2(sigma) + log u^2(sigma).

    lambda = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 makes the loss of an untrained network one at every
    sigma, and u^2, learned, makes that of a trained one 1 + log u^2, so that no noise level outweighs another.
    It can be negative. ``x0`` and ``noise`` are (B, C, H, W), ``sigma`` is (B,), ``label_rows`` (B, label_dim).
    """
    s, sd = sigma[:, None, None, None], net.sigma_data
    denoised, logvar = net(x0 + s * noise, sigma, label_rows, return_logvar=True, dtype=dtype)
    weight = (s**2 + sd**2) / (s * sd) ** 2
    loss: Tensor = (weight / logvar.exp() * (denoised - x0) ** 2 + logvar).mean()
    return loss
