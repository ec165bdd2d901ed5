"""Going on from a file of weights where the checkpoint of their training is gone, or on another machine."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import ResultFileError
from .checkpoint import Progress
from .tensor_file import check_tensors, read_tensors

__all__ = ["Earlier", "read_earlier"]


@dataclass(frozen=True)
class Earlier:
    """A training as its file of weights tells it: all but the optimiser's moments and, of an average, its origin."""

    path: Path
    progress: Progress
    tensors: dict[str, Tensor]

    def restore(self, modules: Mapping[str, nn.Module]) -> Progress:
        """Give every one of ``modules`` these weights, in place; returns where the training stands."""
        for module in modules.values():
            module.load_state_dict(self.tensors)
        return self.progress


def read_earlier(path: str | Path | None, net: nn.Module, architecture: Mapping[str, Any]) -> Earlier | None:
    """The weights that some training wrote for a network like ``net``, described by ``architecture``; None for None.

    Weights that predict another quantity (entry ``prediction``) have the same layers and are taken over, but their
    epochs, steps and losses, which are not of this training, are left in its card.

    Raises `ResultFileError` for a file that is missing, damaged, of another architecture, or whose card does not
    say how long the training was. That a training wrote it is not checked.
    """
    if path is None:
        return None
    source = Path(path)
    card, tensors = read_tensors(source)
    found = card.get("architecture")
    if _layers(found) != _layers(architecture):
        raise ResultFileError(f"{source} holds the architecture {found!r}; expected {dict(architecture)!r}")
    check_tensors(tensors, net.state_dict(), source, str(architecture["name"]))
    epochs, steps, losses, devices = (card.get(name) for name in ("epochs", "steps", "loss_per_epoch", "devices"))
    if (
        not (isinstance(epochs, int) and isinstance(steps, int) and epochs > 0 and steps > 0)
        or not (isinstance(losses, list) and isinstance(devices, list))
        or len(losses) != epochs
    ):
        raise ResultFileError(
            f"{source} does not say how it was trained (epochs {epochs!r}, steps {steps!r}); "
            "expected weights that a training here has written"
        )
    card["sha256"] = hashlib.sha256(source.read_bytes()).hexdigest()
    if found != architecture:
        return Earlier(source, Progress(continues=card), tensors)
    del card["architecture"]
    progress = Progress(epoch=epochs, steps=steps, loss_per_epoch=list(losses), devices=list(devices), continues=card)
    return Earlier(source, progress, tensors)


def _layers(architecture: Any) -> Any:
    """An architecture but for what its last layer predicts."""
    if not isinstance(architecture, Mapping):
        return architecture
    return {key: value for key, value in architecture.items() if key != "prediction"}
