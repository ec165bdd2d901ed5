r"""The paper's score network (App. D.3): a small convolutional U-Net that predicts the noise.

::

    x (1, H, W) -- 3x3 stem -- res 64 ------------------------------ concat -- res 64 -- norm, SiLU, 3x3 -- epsilon
                                  \-- stride 2 -- res 128 -- concat -- res 128 --/ up
                                                     \-- stride 2 -- res, res --/ up

Choices that App. D.3 leaves open:

* Time embedding. The frequencies are taken as printed, omega_k = 10000^(-k/d) with d = 128, and each gives a sine
  and a cosine, hence k = 0 ... d/2 - 1 fills the embedding of dimension d. They span 1 ... 0.011, so at the
  longest time t = 50 every phase is at least half a radian. (The common k/(d/2) would spend half the
  frequencies below 0.01, where sine and cosine hardly change over the whole time range.)
* Both layers of the time perceptron are followed by SiLU: otherwise its second layer and the linear projection in
  each residual block would be one linear map.
* Group norm uses 8 groups; upsampling repeats pixels; the skip connections leave each encoder stage before its
  strided convolution; the last decoder block returns to the stem's 64 channels, as the mirror image does.

The paper's network gives the noise itself. At large t, where x is nothing but noise, that is the identity, which the
layers have to learn; the mean over the image is one mode of 784, whose part in the loss is too small for its response
to come out right. ``prediction="v"`` is the remedy, beside the paper: the layers give v = alpha epsilon - sigma x_0
(Salimans and Ho, arXiv:2202.00512), and the noise is sigma x + alpha v, exact at large t whatever they have learned.

Group norm divides by statistics of the whole image, so the network is not strictly local even though its
convolutions are. With ``padding="circular"`` it commutes exactly with shifts by multiples of `UNet.TOTAL_STRIDE`
sites; zero padding, the common choice for images and the default, breaks this at the border.
"""

import math
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from ...errors import DtypeError, InvalidInputError
from .norm_silu import NormSiLU

__all__ = ["Padding", "Prediction", "UNet", "vp_amplitudes"]

Padding = Literal["zeros", "circular"]
Prediction = Literal["epsilon", "v"]
_GROUPS = 8


def vp_amplitudes(t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha(t) and sigma(t) of the process that the network is trained on: beta = 1 (App. D.2), any shape of t."""
    return torch.exp(-0.5 * t), torch.sqrt(-torch.expm1(-t))


class TimeEmbedding(nn.Module):
    """Sines and cosines of omega_k t, then a two-layer perceptron: (B,) -> (B, dimension)."""

    frequencies: Tensor

    def __init__(self, dimension: int) -> None:
        super().__init__()
        k = torch.arange(dimension // 2, dtype=torch.float64)
        frequencies = torch.exp(-k / dimension * math.log(10000.0)).to(torch.get_default_dtype())
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.perceptron = nn.Sequential(
            nn.Linear(dimension, dimension), nn.SiLU(), nn.Linear(dimension, dimension), nn.SiLU()
        )

    def forward(self, t: Tensor) -> Tensor:
        phase = t[:, None] * self.frequencies
        return cast(Tensor, self.perceptron(torch.cat([phase.sin(), phase.cos()], dim=1)))


class ResidualBlock(nn.Module):
    """Norm, SiLU, 3x3, plus the projected time embedding; norm, SiLU, 3x3; plus the input (1x1 if widths differ)."""

    def __init__(self, width_in: int, width_out: int, time_dimension: int, padding: Padding) -> None:
        super().__init__()
        self.norm1 = NormSiLU(_GROUPS, width_in)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, padding=1, padding_mode=padding)
        self.time_projection = nn.Linear(time_dimension, width_out)
        self.norm2 = NormSiLU(_GROUPS, width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, padding_mode=padding)
        self.shortcut = nn.Identity() if width_in == width_out else nn.Conv2d(width_in, width_out, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        hidden = self.conv1(self.norm1(x))
        hidden = hidden + self.time_projection(embedding)[:, :, None, None]
        hidden = self.conv2(self.norm2(hidden))
        return cast(Tensor, hidden + self.shortcut(x))


class UNet(nn.Module):
    """epsilon_theta(x, t) for fields x (B, 1, H, W), H and W multiples of `TOTAL_STRIDE`.

    Parameters
    ----------
    padding
        ``"zeros"`` or ``"circular"``, for every 3x3 convolution.
    prediction
        ``"epsilon"`` or ``"v"``: what the last layer gives. The network's value is the noise with both.

    Works under ``torch.func.jvp`` and ``vmap``. Times are not checked: the network was trained on
    t in [1e-3, 50], and is undefined at t <= 0 where the score diverges.
    """

    NAME = "U-Net of App. D.3"
    TOTAL_STRIDE = 4
    TIME_DIMENSION = 128
    WIDTHS = (64, 128)

    def __init__(self, padding: Padding = "zeros", prediction: Prediction = "epsilon") -> None:
        super().__init__()
        for name, found, known in (
            ("padding", padding, get_args(Padding)),
            ("prediction", prediction, get_args(Prediction)),
        ):
            if found not in known:
                raise InvalidInputError(f"{name} is {found!r}; expected one of {', '.join(known)}")
        self.padding: Padding = padding
        self.prediction: Prediction = prediction
        narrow, wide = self.WIDTHS

        def block(width_in: int, width_out: int) -> ResidualBlock:
            return ResidualBlock(width_in, width_out, self.TIME_DIMENSION, padding)

        def conv(width_in: int, width_out: int, stride: int = 1) -> nn.Conv2d:
            return nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, padding_mode=padding)

        self.time_embedding = TimeEmbedding(self.TIME_DIMENSION)
        self.stem = conv(1, narrow)
        self.encoder1 = block(narrow, narrow)
        self.down1 = conv(narrow, narrow, stride=2)
        self.encoder2 = block(narrow, wide)
        self.down2 = conv(wide, wide, stride=2)
        self.middle1 = block(wide, wide)
        self.middle2 = block(wide, wide)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.decoder2 = block(wide + wide, wide)
        self.decoder1 = block(wide + narrow, narrow)
        # In files of weights the last convolution is number 2.
        self.head = nn.Sequential(NormSiLU(_GROUPS, narrow), nn.Identity(), conv(narrow, 1))

    @property
    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, as JSON values."""
        return {
            "name": self.NAME,
            "widths": list(self.WIDTHS),
            "time_dimension": self.TIME_DIMENSION,
            "groups": _GROUPS,
            "padding": self.padding,
            # Files of the paper's network do not name it.
            **({} if self.prediction == "epsilon" else {"prediction": self.prediction}),
        }

    def forward(self, x: Tensor, t: Tensor | float) -> Tensor:
        """The predicted noise, shaped like x; t is one time or (B,).

        Raises `InvalidInputError` for another shape of x or t and `DtypeError` where x is not of the
        network's own floating dtype.
        """
        times = self._times(x, t)
        output = self._layers(x, times)
        if self.prediction == "epsilon":
            return output
        alpha, sigma = (amplitude[:, None, None, None] for amplitude in vp_amplitudes(times))
        return sigma * x + alpha * output

    def output(self, x: Tensor, t: Tensor | float) -> Tensor:
        """What the last layer gives, shaped like x: the predicted noise, or v; parameters and errors of `forward`."""
        return self._layers(x, self._times(x, t))

    def score(self, x: Tensor, t: Tensor | float) -> Tensor:
        """s_theta = -epsilon_theta / sigma(t) (App. D.3), shaped like x."""
        times = self._times(x, t)
        _, sigma = vp_amplitudes(times)
        epsilon: Tensor = self(x, times)
        return -epsilon / sigma[:, None, None, None]

    def drift(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Reverse drift b = -x/2 - s_theta, run with dt < 0 (App. D.7)."""
        return -0.5 * x - self.score(x, t)

    def _layers(self, x: Tensor, times: Tensor) -> Tensor:
        embedding = self.time_embedding(times)
        skip1 = self.encoder1(self.stem(x), embedding)
        skip2 = self.encoder2(self.down1(skip1), embedding)
        hidden = self.middle1(self.down2(skip2), embedding)
        hidden = self.middle2(hidden, embedding)
        hidden = self.decoder2(torch.cat([self.up(hidden), skip2], dim=1), embedding)
        hidden = self.decoder1(torch.cat([self.up(hidden), skip1], dim=1), embedding)
        return cast(Tensor, self.head(hidden))

    def _times(self, x: Tensor, t: Tensor | float) -> Tensor:
        stride = self.TOTAL_STRIDE
        if x.ndim != 4 or x.shape[1] != 1 or x.shape[2] % stride or x.shape[3] % stride or 0 in x.shape:
            raise InvalidInputError(
                f"x has shape {tuple(x.shape)}; expected (B, 1, H, W) with H and W multiples of {stride}"
            )
        dtype = self.stem.weight.dtype
        if x.dtype != dtype:
            raise DtypeError(f"x has dtype {x.dtype}; expected the network's {dtype}")
        times = torch.as_tensor(t, dtype=dtype, device=x.device)
        if times.ndim > 1 or times.shape not in ((), (1,), (len(x),)):
            raise InvalidInputError(f"t has shape {tuple(times.shape)}; expected one time or ({len(x)},)")
        return times.expand(len(x))
