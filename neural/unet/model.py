"""The U-Net of App. D.3 as a model, so that `fastpatch.simulate` and every observable work on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from ...errors import InvalidInputError
from ..devices import Precision
from ..torch_model import Method
from ..trained_model import TrainedModel
from .network import Prediction, UNet
from .weights import load_weights, shipped_weights

if TYPE_CHECKING:
    from ..data import Variant

__all__ = ["UNetModel"]


class UNetModel(TrainedModel):
    """The U-Net of App. D.3 as a model on lattices whose sides are multiples of `UNet.TOTAL_STRIDE`.

    The parameters are those of `TrainedModel`.
    """

    net: UNet

    @classmethod
    def shipped(
        cls,
        variant: "Variant" = "binarised",
        prediction: Prediction = "v",
        *,
        method: Method = "vjp",
        device: str | torch.device | None = "cpu",
        precision: Precision = "float32",
    ) -> Self:
        """The one that ships: of binarised or of grey images, the paper's ("epsilon") or that which predicts v.

        Raises `ResultFileError` where this installation has none, and what `load` raises.
        """
        return cls.load(shipped_weights(variant, prediction), method=method, device=device, precision=precision)

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
