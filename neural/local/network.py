r"""A convolutional network that sees exactly the P x P neighbourhood of a site: the sharp test of locality.

::

    x (1, H, W) -- P x P -- [1 x 1 residual] x depth -- 1 x 1 -- F

No layer normalises and none but the first looks beyond its own site, so that the output at a site is one function of
the P x P pixels around it and of t, the same at every site. Among all such functions the one of least squared error on
noised images is the posterior mean over their P x P patches, wrapped around the border: the patch machine
(`fastpatch.PatchModel`) of ``PatchDictionary.from_images(images, P, "periodic")``. So the loss of this network can only
lie above that machine's, on the images that both are made of, and its excess is the mean squared difference of their
outputs.

Time enters as a gain of the first layer and a constant of every one, computed from log(alpha^2 / sigma^2).
"""

from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from ...errors import DtypeError, InvalidInputError
from ...validation import integer
from ..unet.network import TimeEmbedding, vp_amplitudes

__all__ = ["LocalNetwork", "Prediction"]

Prediction = Literal["image", "noise"]


class LocalNetwork(nn.Module):
    r"""The network of one P x P neighbourhood, for fields x (B, 1, H, W) with sides of at least P.

    Parameters
    ----------
    size
        Odd side P of the receptive field.
    width, depth
        Channels, and residual layers of one site.
    prediction
        What the output F stands for. ``"image"``: the posterior mean of a pixel of +-1 as
        m = tanh(alpha x / sigma^2 + F), the pixel's own log-odds and what its neighbours add. ``"noise"``: epsilon as
        in App. D.3, m = (x - sigma F) / alpha.

    Works under ``torch.func.jvp`` and ``vmap``. Times are not checked: the network was trained on t in [1e-3, 50].
    Raises `InvalidInputError` or `DtypeError` for other sizes, numbers and predictions.
    """

    NAME = "network of one P x P neighbourhood"
    TIME_DIMENSION = 64

    def __init__(self, size: int = 5, width: int = 64, depth: int = 3, prediction: Prediction = "image") -> None:
        super().__init__()
        self.size = integer(size, "size", minimum=1)
        if self.size % 2 == 0:
            raise InvalidInputError(f"size is {size}; expected an odd patch size")
        self.width, self.depth = integer(width, "width", minimum=1), integer(depth, "depth", minimum=0)
        if prediction not in get_args(Prediction):
            raise InvalidInputError(f"prediction is {prediction!r}; expected one of {', '.join(get_args(Prediction))}")
        self.prediction: Prediction = prediction
        self.time_embedding = TimeEmbedding(self.TIME_DIMENSION)
        self.stem = nn.Linear(self.size**2, width)
        self.gain = nn.Linear(self.TIME_DIMENSION, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(self.depth))
        self.shifts = nn.ModuleList(nn.Linear(self.TIME_DIMENSION, width) for _ in range(self.depth + 1))
        self.head = nn.Linear(width, 1)

    @property
    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, as JSON values."""
        return {
            "name": self.NAME,
            "size": self.size,
            "width": self.width,
            "depth": self.depth,
            "time_dimension": self.TIME_DIMENSION,
            "prediction": self.prediction,
        }

    def forward(self, windows: Tensor, t: Tensor) -> Tensor:
        """The output F at the sites whose whole neighbourhood lies within ``windows`` (B, 1, H, W), t (B,).

        Not checked. (B, 1, H - P + 1, W - P + 1).
        """
        alpha, sigma = vp_amplitudes(t)
        embedding = self.time_embedding(2.0 * (alpha / sigma).log())
        # A convolution is a product of the weights with every neighbourhood, (B, sites, P P). Written so, the gain
        # needs no pass over all sites, which takes as long as the products.
        patches = windows[:, 0].unfold(1, self.size, 1).unfold(2, self.size, 1)
        rows, columns = patches.shape[1:3]
        weight = self.stem.weight.T * (1.0 + self.gain(embedding))[:, None, :]
        shifts = [shift(embedding)[:, None, :] for shift in self.shifts]
        flat = patches.reshape(len(windows), rows * columns, self.size**2)
        hidden = silu(torch.baddbmm(shifts[0] + self.stem.bias, flat, weight))
        for layer, shift in zip(self.layers, shifts[1:], strict=True):
            hidden = hidden + silu(layer(hidden) + shift)
        return cast(Tensor, self.head(hidden)).reshape(len(windows), 1, rows, columns)

    def posterior_mean(self, x: Tensor, t: Tensor | float) -> Tensor:
        """m(x, t), shaped like x (B, 1, H, W); t is one time or (B,).

        Raises `InvalidInputError` for another shape of x or t and `DtypeError` where x is not of the network's own
        floating dtype.
        """
        times = self._times(x, t)
        return self.image(x, self._everywhere(x, times), times)

    def image(self, x: Tensor, output: Tensor, t: Tensor) -> Tensor:
        """m of what the network says at the sites of x, shaped alike; t (B,)."""
        alpha, sigma = _amplitudes(t)
        return torch.tanh(alpha / sigma**2 * x + output) if self.prediction == "image" else (x - sigma * output) / alpha

    @staticmethod
    def noised(x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t of the clean fields (B, 1, H, W), t (B,)."""
        alpha, sigma = _amplitudes(t)
        return alpha * x0 + sigma * noise

    def score(self, x: Tensor, t: Tensor | float) -> Tensor:
        """s = (alpha m - x) / sigma^2, shaped like x; raises what `posterior_mean` raises."""
        times = self._times(x, t)
        alpha, sigma = _amplitudes(times)
        if self.prediction == "noise":
            return -self._everywhere(x, times) / sigma
        return (alpha * self.posterior_mean(x, times) - x) / sigma**2

    def _everywhere(self, x: Tensor, times: Tensor) -> Tensor:
        """The output at all sites of a periodic lattice."""
        radius = self.size // 2
        wrapped = nn.functional.pad(x, (radius, radius, radius, radius), mode="circular")
        return cast(Tensor, self(wrapped, times))

    def _times(self, x: Tensor, t: Tensor | float) -> Tensor:
        if x.ndim != 4 or x.shape[1] != 1 or min(x.shape[2:]) < self.size or 0 in x.shape:
            raise InvalidInputError(f"x has shape {tuple(x.shape)}; expected (B, 1, H, W) with sides >= {self.size}")
        dtype = self.stem.weight.dtype
        if x.dtype != dtype:
            raise DtypeError(f"x has dtype {x.dtype}; expected the network's {dtype}")
        times = torch.as_tensor(t, dtype=dtype, device=x.device)
        if times.ndim > 1 or times.shape not in ((), (1,), (len(x),)):
            raise InvalidInputError(f"t has shape {tuple(times.shape)}; expected one time or ({len(x)},)")
        return times.expand(len(x))


def _amplitudes(t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma of times (B,), against fields (B, 1, H, W)."""
    alpha, sigma = vp_amplitudes(t)
    return alpha[:, None, None, None], sigma[:, None, None, None]
