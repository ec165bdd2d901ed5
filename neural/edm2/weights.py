"""Files of EDM2 networks: safetensors with a card, released snapshots, and releases known by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...errors import FastpatchError, ResultFileError
from ..tensor_file import check_tensors, read_card, read_tensors, write_tensors
from .network import EDM2Network

__all__ = ["load", "read_card", "save_network", "shipped_network"]

_NAME = "EDM2"


def save_network(
    path: str | Path, net: EDM2Network, card: Mapping[str, Any], *, dtype: torch.dtype = torch.float32
) -> None:
    """Write parameters and buffers of ``net`` in ``dtype`` and its card, replacing ``path`` in one step.

    ``card`` is any mapping that JSON can hold; the architecture (the name EDM2 and the constructor's arguments) is
    added to it. Raises `OutputError` where the file cannot be written.
    """
    tensors = {name: tensor.to(dtype) for name, tensor in net.state_dict().items()}
    write_tensors(path, tensors, {"architecture": {"name": _NAME, **net.architecture}, **card})


def load(path: str | Path) -> EDM2Network:
    """The network of a safetensors file, float32 on the CPU in evaluation mode; its card is in ``.card``.

    Names and shapes of all tensors are checked against the architecture that the card names.

    Raises `ResultFileError` for a file that is missing, damaged, without a card, or of another architecture.
    """
    source = Path(path)
    card, tensors = read_tensors(source)
    architecture = card.get("architecture")
    if not isinstance(architecture, dict) or architecture.get("name") != _NAME:
        raise ResultFileError(f"{source} holds the architecture {architecture!r}; expected one named {_NAME!r}")
    net = _network({key: value for key, value in architecture.items() if key != "name"}, tensors, source)
    net.card = card
    return net


def shipped_network() -> Path:
    """The class-conditional Fashion-MNIST network that comes with the package.

    Raises `ResultFileError` where this installation has none.
    """
    path = Path(__file__).resolve().parent.parent / "pretrained" / "edm2-fashion.safetensors"
    if not path.is_file():
        raise ResultFileError(
            f"{path} does not exist: this installation has no EDM2 network of its own; "
            "expected `fastpatch edm2 train` first, and then its file"
        )
    return path


def _network(architecture: dict[str, Any], tensors: dict[str, torch.Tensor], source: Path) -> EDM2Network:
    try:
        with torch.device("meta"):  # shapes only, so that nothing is allocated for an absurd width
            net = EDM2Network(**architecture)
    except (FastpatchError, TypeError, ValueError, RuntimeError) as error:
        raise ResultFileError(f"{source} holds an architecture that cannot be built ({error})") from error
    check_tensors(tensors, net.state_dict(), source, f"{_NAME} {architecture!r}")
    net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return net.eval()
