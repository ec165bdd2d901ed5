"""A trained network of x and t, with its card, as a model."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from .devices import Precision, resolve_device
from .identity import network_identity
from .torch_model import Method, TorchModel

__all__ = ["TrainedModel"]


class TrainedModel(TorchModel):
    """The score of a network of fields (B, 1, H, W) and times, evaluated in the precision of its weights.

    ``net`` has a method ``score(x, t)`` and is moved to the device; ``card`` is what its file of weights says of it.
    The other parameters are those of `TorchModel`; derivatives by reverse mode, which these networks allow.
    """

    def __init__(
        self,
        net: nn.Module,
        card: Mapping[str, Any] | None = None,
        *,
        method: Method = "vjp",
        device: str | torch.device | None = "cpu",
        precision: Precision = "float32",
        batch: int = 32,
    ) -> None:
        target = resolve_device(device)
        network: Any = net.to(target)
        self.net = network
        self.card = dict(card or {})
        dtype = next(net.parameters()).dtype
        super().__init__(network.score, method=method, device=target, dtype=dtype, precision=precision, batch=batch)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        method: Method = "vjp",
        device: str | torch.device | None = "cpu",
        precision: Precision = "float32",
    ) -> Self:
        """The model of a file of weights; raises what the network's ``load_weights`` and `TorchModel` raise."""
        net, card = cls._read(path)
        return cls(net, card, method=method, device=device, precision=precision)

    @classmethod
    @abstractmethod
    def _read(cls, path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
        """The network of a file, and its card."""

    def describe(self) -> dict[str, Any]:
        """JSON-ready identity: architecture and digest of the weights, their card, and what evaluates them."""
        trained: dict[str, Any] = {name: self.card[name] for name in ("variant", "epochs") if name in self.card}
        return {**self._evaluation(), **network_identity(self.net), **trained}
