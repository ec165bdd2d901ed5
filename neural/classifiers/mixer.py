"""An MLP-Mixer (Tolstikhin et al., arXiv:2105.01601) of Fashion-MNIST, without convolution, pooling or batch norm."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from ..data import CLASS_NAMES

__all__ = ["PatchMixer"]


class PatchMixer(nn.Module):
    """Linear maps of 4 x 4 patches, blocks that mix patches and then channels, a mean over patches and a linear map.

    (B, 1, 32, 32) in [-1, 1] -> logits (B, 10). The buffer ``temperature`` divides them in evaluation mode. It shares
    no kind of layer with `FashionNet` but the last, so that both judging alike is no artefact of one architecture.
    """

    NAME = "Fashion-MNIST mixer"
    INPUT_SIDE = 32
    PATCH = 4
    WIDTH = 64
    BLOCKS = 5

    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        tokens = (self.INPUT_SIDE // self.PATCH) ** 2
        self.embed = nn.Linear(self.PATCH**2, self.WIDTH)
        self.position = nn.Parameter(torch.zeros(tokens, self.WIDTH))
        self.blocks = nn.Sequential(*[_Block(tokens, self.WIDTH) for _ in range(self.BLOCKS)])
        self.norm = nn.LayerNorm(self.WIDTH)
        self.head = nn.Linear(self.WIDTH, len(CLASS_NAMES))
        self.register_buffer("temperature", torch.ones([]))

    @property
    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, as JSON values."""
        return {
            "name": self.NAME,
            "patch": self.PATCH,
            "width": self.WIDTH,
            "blocks": self.BLOCKS,
            "input_side": self.INPUT_SIDE,
        }

    def forward(self, x: Tensor) -> Tensor:
        patches = nn.functional.unfold(x, self.PATCH, stride=self.PATCH).transpose(1, 2)
        logits = self.head(self.norm(self.blocks(self.embed(patches) + self.position)).mean(1))
        return cast(Tensor, logits if self.training else logits / self.temperature)


class _Block(nn.Module):
    """Mixes patches, the same for every channel, then channels, the same for every patch; both are residual."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm_tokens, self.norm_channels = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens = nn.Sequential(nn.Linear(tokens, tokens), nn.GELU(), nn.Linear(tokens, tokens))
        self.channels = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm_tokens(x).transpose(1, 2)).transpose(1, 2)
        mixed: Tensor = x + self.channels(self.norm_channels(x))
        return mixed
