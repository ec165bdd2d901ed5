"""The U-Net of App. D.3 as a model, so that `fastpatch.simulate` and every observable work on it."""

from pathlib import Path

import torch

from ...errors import InvalidInputError
from ..torch_model import Method
from ..trained_model import TrainedModel
from .network import UNet
from .weights import load_weights

__all__ = ["UNetModel"]


class UNetModel(TrainedModel):
    """The U-Net of App. D.3 as a model on lattices whose sides are multiples of `UNet.TOTAL_STRIDE`.

    The parameters are those of `TrainedModel`.
    """

    net: UNet

    @classmethod
    def load(
        cls, path: str | Path, *, method: Method = "jvp", device: str | torch.device | None = "cpu"
    ) -> "UNetModel":
        """The model of a file of weights; raises what `load_weights` and `TorchModel` raise."""
        net, card = load_weights(path)
        return cls(net, card, method=method, device=device)

    def check_lattice(self, shape: tuple[int, int]) -> None:
        """Raise `InvalidInputError` unless the network can act on a lattice of this shape."""
        stride = UNet.TOTAL_STRIDE
        if shape[0] % stride or shape[1] % stride:
            raise InvalidInputError(
                f"the lattice is {shape[0]}x{shape[1]}; expected sides that are multiples of {stride}"
            )
