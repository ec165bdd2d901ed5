"""Trained U-Nets as safetensors files that carry a card: what the network is and how it was trained."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..atomic import atomic_path
from ..errors import ResultFileError
from .data import Variant
from .unet import UNet

__all__ = ["load_weights", "read_card", "save_weights", "shipped_weights"]

_CARD = "fastpatch"


def save_weights(path: str | Path, net: UNet, card: Mapping[str, Any]) -> None:
    """Write the float32 weights of ``net`` and its card, replacing ``path`` in one step.

    ``card`` is any mapping that JSON can hold; the architecture (name, widths, padding) is added to it.
    Raises `OutputError` where the file cannot be written.
    """
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in net.state_dict().items()}
    content = json.dumps({"architecture": net.architecture, **card}, indent=1)
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"format": "pt", _CARD: content}))


def read_card(path: str | Path) -> dict[str, Any]:
    """The card alone, without the weights; raises `ResultFileError` like `load_weights`."""
    return _read(Path(path), tensors=False)[0]


def load_weights(path: str | Path) -> tuple[UNet, dict[str, Any]]:
    """The network, float32 on the CPU in evaluation mode, and its card.

    Names and shapes of all tensors are checked against the architecture that the card names.

    Raises `ResultFileError` for a file that is missing, damaged, without a card, or of another architecture.
    """
    source = Path(path)
    card, tensors = _read(source, tensors=True)
    architecture = card.get("architecture")
    padding = architecture.get("padding") if isinstance(architecture, dict) else None
    net = UNet(padding) if padding in ("zeros", "circular") else None
    if net is None or architecture != net.architecture:
        expected = UNet().architecture
        raise ResultFileError(f"{source} holds the architecture {architecture!r}; expected {expected!r} or circular")
    state = net.state_dict()
    faults = [f"{name} is missing" for name in state if name not in tensors]
    faults += [f"{name} is unknown" for name in tensors if name not in state]
    faults += [
        f"{name} has shape {tuple(tensor.shape)}, not {tuple(state[name].shape)}"
        for name, tensor in tensors.items()
        if name in state and tensor.shape != state[name].shape
    ]
    if faults:
        more = f" and {len(faults) - 1} more such tensors" if len(faults) > 1 else ""
        raise ResultFileError(f"{source} does not fit its card: {faults[0]}{more}; expected the weights of {UNet.NAME}")
    net.load_state_dict(tensors)
    return net.eval(), card


def shipped_weights(variant: Variant = "binarised") -> Path:
    """The file of weights that comes with the package; `ResultFileError` where this installation has none."""
    path = Path(__file__).resolve().parent / "pretrained" / f"unet-{variant}.safetensors"
    if not path.is_file():
        option = " --grey" if variant == "grey" else ""
        raise ResultFileError(
            f"{path} does not exist: this installation has no weights of the {variant} model; "
            f"expected `fastpatch unet train{option}` first, and then its file in --weights"
        )
    return path


def _read(path: Path, *, tensors: bool) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    if not path.is_file():
        raise ResultFileError(f"{path} does not exist; expected a safetensors file of weights")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            found = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ResultFileError(f"{path} is not a readable safetensors file ({error})") from error
    try:
        card = json.loads(metadata[_CARD])
    except (KeyError, ValueError):
        card = None
    if not isinstance(card, dict):
        raise ResultFileError(f"{path} has no fastpatch card in its metadata; expected weights saved by fastpatch")
    return card, found
