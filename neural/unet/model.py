"""The U-Net of App. D.3 as a model, so that `fastpatch.simulate` and every observable work on it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...errors import InvalidInputError
from ..devices import resolve_device
from ..identity import network_identity
from ..torch_model import Method, TorchModel
from .network import UNet
from .weights import load_weights

__all__ = ["UNetModel"]


class UNetModel(TorchModel):
    """The U-Net of App. D.3 as a model on lattices whose sides are multiples of `UNet.TOTAL_STRIDE`.

    ``net`` is moved to the device; ``card`` is what `load_weights` gives with it. The other parameters are those of
    `TorchModel`.
    """

    def __init__(
        self,
        net: UNet,
        card: Mapping[str, Any] | None = None,
        *,
        method: Method = "jvp",
        device: str | torch.device | None = "cpu",
        batch: int = 32,
    ) -> None:
        target = resolve_device(device)
        self.net = net.to(target)
        self.card = dict(card or {})
        dtype = net.stem.weight.dtype
        super().__init__(net.score, method=method, device=target, dtype=dtype, batch=batch)

    @classmethod
    def load(
        cls, path: str | Path, *, method: Method = "jvp", device: str | torch.device | None = "cpu"
    ) -> "UNetModel":
        """The model of a file of weights; raises what `load_weights` and `TorchModel` raise."""
        net, card = load_weights(path)
        return cls(net, card, method=method, device=device)

    def describe(self) -> dict[str, Any]:
        trained = {name: self.card.get(name) for name in ("variant", "epochs")}
        return {
            **super().describe(),
            **network_identity(self.net),
            **trained,
        }

    def check_lattice(self, shape: tuple[int, int]) -> None:
        """Raise `InvalidInputError` unless the network can act on a lattice of this shape."""
        stride = UNet.TOTAL_STRIDE
        if shape[0] % stride or shape[1] % stride:
            raise InvalidInputError(
                f"the lattice is {shape[0]}x{shape[1]}; expected sides that are multiples of {stride}"
            )
