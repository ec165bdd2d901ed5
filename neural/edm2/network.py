"""The EDM2 denoiser D(x, sigma, y): preconditioning around the magnitude-preserving U-Net.

From the published equations of Karras et al., arXiv:2206.00364 (Table 1, preconditioning) and arXiv:2312.02696
(network, uncertainty). Parameters and buffers have the names and shapes of the released snapshots.
"""

from collections.abc import Sequence
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from ...errors import DtypeError, InvalidInputError
from ...validation import finite_float, integer
from .blocks import Balance, UNet
from .layers import MPConv, MPFourier

__all__ = ["EDM2Network"]


class EDM2Network(nn.Module):
    """D(x, sigma, y) for noisy images x = x0 + sigma epsilon.

    Parameters
    ----------
    img_resolution, img_channels
        Side and channels of the square images; the side is a multiple of 2 for each level below the first.
    label_dim
        Number of classes, 0 for an unconditional network.
    model_channels, channel_mult, num_blocks
        Width c, the width of each level in units of c, and residual blocks a level.
    attn_resolutions, channels_per_head
        Sides at which blocks attend, and the width of one head, which divides the width of these levels and of the
        lowest.
    label_balance, concat_balance, res_balance, attn_balance, clip_act
        Shares of the magnitude-preserving sums, and the magnitude at which blocks are clipped.
    logvar_channels
        Fourier features of the uncertainty log u^2(sigma).
    sigma_data
        Standard deviation of the data.

    Raises `InvalidInputError` or `DtypeError` for values that make no network.
    """

    def __init__(
        self,
        *,
        img_resolution: int,
        img_channels: int,
        label_dim: int,
        model_channels: int = 192,
        channel_mult: Sequence[int] = (1, 2, 3, 4),
        num_blocks: int = 3,
        attn_resolutions: Sequence[int] = (16, 8),
        label_balance: float = 0.5,
        concat_balance: float = 0.5,
        res_balance: float = 0.3,
        attn_balance: float = 0.3,
        clip_act: float = 256.0,
        channels_per_head: int = 64,
        logvar_channels: int = 128,
        sigma_data: float = 0.5,
    ) -> None:
        super().__init__()
        self.architecture: dict[str, Any] = {
            "img_resolution": integer(img_resolution, "img_resolution", minimum=1),
            "img_channels": integer(img_channels, "img_channels", minimum=1),
            "label_dim": integer(label_dim, "label_dim", minimum=0),
            "model_channels": integer(model_channels, "model_channels", minimum=1),
            "channel_mult": [integer(factor, "channel_mult", minimum=1) for factor in channel_mult],
            "num_blocks": integer(num_blocks, "num_blocks", minimum=1),
            "attn_resolutions": [integer(side, "attn_resolutions", minimum=1) for side in attn_resolutions],
            "label_balance": _share(label_balance, "label_balance"),
            "concat_balance": _share(concat_balance, "concat_balance"),
            "res_balance": _share(res_balance, "res_balance"),
            "attn_balance": _share(attn_balance, "attn_balance"),
            "clip_act": _positive(clip_act, "clip_act"),
            "channels_per_head": integer(channels_per_head, "channels_per_head", minimum=1),
            "logvar_channels": integer(logvar_channels, "logvar_channels", minimum=1),
            "sigma_data": _positive(sigma_data, "sigma_data"),
        }
        _check_levels(self.architecture)
        self.card: dict[str, Any] = {}  # filled by whoever loads the weights from a file
        self.img_resolution: int = self.architecture["img_resolution"]
        self.img_channels: int = self.architecture["img_channels"]
        self.label_dim: int = self.architecture["label_dim"]
        self.sigma_data: float = self.architecture["sigma_data"]
        self.unet = UNet(
            self.img_resolution,
            self.img_channels,
            self.label_dim,
            self.architecture["model_channels"],
            self.architecture["channel_mult"],
            self.architecture["num_blocks"],
            self.architecture["attn_resolutions"],
            self.architecture["channels_per_head"],
            Balance(label_balance, concat_balance, res_balance, attn_balance, clip_act),
        )
        self.logvar_fourier = MPFourier(logvar_channels)
        self.logvar_linear = MPConv(logvar_channels, 1)

    @overload
    def forward(
        self,
        x: Tensor,
        sigma: Tensor | float,
        class_labels: Tensor | None = None,
        return_logvar: Literal[False] = False,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor: ...

    @overload
    def forward(
        self,
        x: Tensor,
        sigma: Tensor | float,
        class_labels: Tensor | None = None,
        *,
        return_logvar: Literal[True],
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, Tensor]: ...

    def forward(
        self,
        x: Tensor,
        sigma: Tensor | float,
        class_labels: Tensor | None = None,
        return_logvar: bool = False,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """The denoised images (B, C, H, W), float32, and on request log u^2(sigma), (B, 1, 1, 1).

        Parameters
        ----------
        x
            Noisy images (B, C, H, W), float32 or float64.
        sigma
            Noise level: a number, or a tensor () or (B,), positive, which is not checked.
        class_labels
            None or zero rows for no label, integer classes (B,), or one-hot rows (B, label_dim).
        dtype
            In which the U-Net computes: float32; float16 or bfloat16 on devices that are fast in it; float64 if
            the network and x are, and then the result is float64 too. The preconditioning is never in half precision.

        Raises `InvalidInputError` for other shapes and for a class outside 0 ... label_dim - 1, and `DtypeError`
        for classes that are no integers. Classes that ``vmap`` batches over are not checked.
        """
        expected = (self.img_channels, self.img_resolution, self.img_resolution)
        if x.ndim != 4 or tuple(x.shape[1:]) != expected or len(x) == 0:
            raise InvalidInputError(f"x has shape {tuple(x.shape)}; expected (B, {', '.join(map(str, expected))})")
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        x = x.to(wide)
        level = torch.as_tensor(sigma, dtype=wide, device=x.device)
        if level.ndim > 1 or level.shape not in ((), (1,), (len(x),)):
            raise InvalidInputError(f"sigma has shape {tuple(level.shape)}; expected one number or ({len(x)},)")
        level = level.expand(len(x))
        one_hot = self.one_hot(class_labels, len(x)).to(x)

        s, sd = level[:, None, None, None], self.sigma_data
        norm = (s**2 + sd**2).sqrt()
        c_noise = level.log() / 4.0
        output = self.unet(x / norm, c_noise, one_hot, dtype).to(wide)
        denoised: Tensor = (sd / norm) ** 2 * x + (s * sd / norm) * output
        if not return_logvar:
            return denoised
        return denoised, self.logvar_linear(self.logvar_fourier(c_noise)).reshape(-1, 1, 1, 1)

    def one_hot(self, class_labels: Tensor | None, batch: int) -> Tensor:
        """Rows (batch, label_dim), float32, of labels in any form that `forward` takes; raises as it does."""
        device = self.unet.out_gain.device
        if class_labels is None:
            return torch.zeros(batch, self.label_dim, device=device)
        if not self.label_dim:
            raise InvalidInputError("class_labels are given, but the network has no labels; expected None")
        labels = torch.as_tensor(class_labels, device=device)
        if labels.ndim == 2 and tuple(labels.shape) == (batch, self.label_dim):
            return labels.float()
        if tuple(labels.shape) != (batch,):
            raise InvalidInputError(
                f"class_labels has shape {tuple(labels.shape)}; expected ({batch},) or ({batch}, {self.label_dim})"
            )
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise DtypeError(f"class_labels has dtype {labels.dtype}; expected integer classes or one-hot rows")
        outside = (labels < 0) | (labels >= self.label_dim)
        if _any(outside):
            found = int(labels[outside][0])
            raise InvalidInputError(
                f"class_labels holds the class {found}; expected 0 ... {self.label_dim - 1} of this network"
            )
        return (labels[:, None] == torch.arange(self.label_dim, device=device)).float()


def _any(flags: Tensor) -> bool:
    """Whether any flag is set; False inside ``vmap``, where values cannot be asked for."""
    try:
        return bool(flags.any())
    except RuntimeError:
        return False


def _share(value: Any, name: str) -> float:
    found = finite_float(value, name)
    if not 0.0 <= found <= 1.0:
        raise InvalidInputError(f"{name} is {found}; expected a share in [0, 1]")
    return found


def _positive(value: Any, name: str) -> float:
    found = finite_float(value, name)
    if found <= 0.0:
        raise InvalidInputError(f"{name} is {found}; expected a positive number")
    return found


def _check_levels(architecture: dict[str, Any]) -> None:
    """Every level halves the side, and heads divide the widths of the levels that attend."""
    side, factors = architecture["img_resolution"], architecture["channel_mult"]
    if not factors or side % 2 ** (len(factors) - 1):
        raise InvalidInputError(
            f"channel_mult is {factors} at img_resolution {side}; expected at least one level, and a side that can "
            "be halved for each level below the first"
        )
    per_head = architecture["channels_per_head"]
    for level, factor in enumerate(factors):
        width, resolution = architecture["model_channels"] * factor, side >> level
        attends = resolution in architecture["attn_resolutions"] or level == len(factors) - 1
        if attends and width % per_head:
            raise InvalidInputError(
                f"channels_per_head is {per_head}, but the attention at resolution {resolution} has {width} channels; "
                "expected a divisor of these"
            )
