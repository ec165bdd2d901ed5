"""A multilayer perceptron for Fashion-MNIST: no convolution, no pooling, no batch statistics."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from ..data import CLASS_NAMES

__all__ = ["FashionPerceptron"]


class FashionPerceptron(nn.Module):
    """Two hidden layers of all pixels at once, each normalised over its units.

    (B, 1, 32, 32) in [-1, 1] -> logits (B, 10). The buffer ``temperature`` divides them in evaluation mode. It knows
    nothing of neighbourhoods, and shares no kind of layer with `FashionNet` but the last, so that both judging alike
    is no artefact of one architecture.
    """

    NAME = "Fashion-MNIST perceptron"
    INPUT_SIDE = 32
    WIDTHS = (320, 192)

    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        last = self.INPUT_SIDE**2
        for width in self.WIDTHS:
            layers += [nn.Linear(last, width), nn.LayerNorm(width), nn.GELU()]
            last = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(last, len(CLASS_NAMES))
        self.register_buffer("temperature", torch.ones([]))

    @property
    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, as JSON values."""
        return {"name": self.NAME, "widths": list(self.WIDTHS), "input_side": self.INPUT_SIDE}

    def forward(self, x: Tensor) -> Tensor:
        logits = self.head(self.features(x))
        return cast(Tensor, logits if self.training else logits / self.temperature)
