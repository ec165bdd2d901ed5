"""The network of one neighbourhood as a model, so that `fastpatch.simulate` and every observable work on it."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...errors import InvalidInputError
from ...validation import floating_field, positive_time
from ..trained_model import TrainedModel
from .network import LocalNetwork
from .weights import load_weights, shipped_weights

__all__ = ["LocalModel"]


class LocalModel(TrainedModel):
    """`LocalNetwork` as a model on lattices with sides of at least P. The parameters are those of `TrainedModel`."""

    net: LocalNetwork

    @classmethod
    def shipped(cls) -> Self:
        """The one of 5x5 pixels that ships; `ResultFileError` where this installation has none."""
        return cls.load(shipped_weights())

    @classmethod
    def _read(cls, path: str | Path) -> tuple[LocalNetwork, dict[str, Any]]:
        return load_weights(path)

    def posterior_mean(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """m(x, t), same shape and dtype as ``x`` (..., L1, L2), without a division by alpha."""
        field, time = floating_field(x), positive_time(t)
        with torch.no_grad():
            parts = torch.split(self._tensor(field), self._batch)
            found = torch.cat([self.net.posterior_mean(part, time) for part in parts])
        return np.asarray(self._array(found).reshape(field.shape), dtype=field.dtype)

    def check_lattice(self, shape: tuple[int, int]) -> None:
        """Raise `InvalidInputError` unless the network can act on a lattice of this shape."""
        if min(shape) < self.net.size:
            raise InvalidInputError(
                f"the lattice is {shape[0]}x{shape[1]}; expected sides of at least the patch size {self.net.size}"
            )
