"""The U-Net of App. D.3 as a model, so that `fastpatch.simulate` and every observable work on it."""

from pathlib import Path
from typing import Any

from ...errors import InvalidInputError
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
    def _read(cls, path: str | Path) -> tuple[UNet, dict[str, Any]]:
        return load_weights(path)

    def check_lattice(self, shape: tuple[int, int]) -> None:
        """Raise `InvalidInputError` unless the network can act on a lattice of this shape."""
        stride = UNet.TOTAL_STRIDE
        if shape[0] % stride or shape[1] % stride:
            raise InvalidInputError(
                f"the lattice is {shape[0]}x{shape[1]}; expected sides that are multiples of {stride}"
            )
