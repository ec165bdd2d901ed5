"""Named tensors and their card, JSON that says what they are and where they come from, in one safetensors file."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..atomic import atomic_path
from ..errors import ResultFileError
from ..messages import reason

__all__ = ["check_tensors", "network_with", "read_card", "read_tensors", "write_tensors"]

_Network = TypeVar("_Network", bound=nn.Module)

_CARD = "fastpatch"
_DIGEST = "fastpatch-sha256"


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write ``tensors``, each in its own dtype, and ``card``, any mapping that JSON can hold, in one step.

    Raises `OutputError` where the file cannot be written.
    """
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(card, indent=1)
    metadata = {"format": "pt", _CARD: text, _DIGEST: _digest(content, text)}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(content, metadata=metadata))


def read_card(path: str | Path) -> dict[str, Any]:
    """The card alone, without the tensors; raises `ResultFileError` like `read_tensors`."""
    return _read(Path(path), tensors=False)[0]


def read_tensors(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The card and the tensors by name, on the CPU in their stored dtype.

    Raises `ResultFileError` for a file that is missing, damaged or without a card. One without a digest, as earlier
    versions wrote them, is accepted.
    """
    return _read(Path(path), tensors=True)


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: Path, network: str) -> None:
    """Compare names and shapes, not values, with those of ``network``'s state.

    Raises `ResultFileError` that names the first difference and how many more there are.
    """
    faults = [f"{name} is missing" for name in expected if name not in found]
    faults += [f"{name} is unknown" for name in found if name not in expected]
    faults += [
        f"{name} has shape {tuple(tensor.shape)}, not {tuple(expected[name].shape)}"
        for name, tensor in found.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    if faults:
        more = f" and {len(faults) - 1} more such tensors" if len(faults) > 1 else ""
        raise ResultFileError(f"{source} holds other tensors: {faults[0]}{more}; expected the weights of {network}")


def network_with(net: _Network, tensors: Mapping[str, Tensor], source: Path, name: str) -> _Network:
    """``net`` with these weights, in evaluation mode; raises what `check_tensors` raises."""
    check_tensors(tensors, net.state_dict(), source, name)
    net.load_state_dict(dict(tensors))
    return net.eval()


def _read(path: Path, *, tensors: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise ResultFileError(f"{path} does not exist; expected a safetensors file of weights")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            found = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ResultFileError(f"{path} is not a readable safetensors file ({reason(error)})") from error
    try:
        card = json.loads(metadata[_CARD])
    except (KeyError, ValueError, RecursionError):  # the last for a tower of brackets
        card = None
    if not isinstance(card, dict):
        raise ResultFileError(f"{path} has no fastpatch card in its metadata; expected weights saved by fastpatch")
    if tensors and metadata.get(_DIGEST, "") not in ("", _digest(found, metadata[_CARD])):
        raise ResultFileError(f"{path} is damaged: its tensors have another SHA-256 than it says; expected it whole")
    return card, found


def _digest(tensors: Mapping[str, Tensor], card: str) -> str:
    """SHA-256 of the card, and of names, dtypes, shapes and values of the tensors."""
    digest = hashlib.sha256(card.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # As bytes: NumPy has no bfloat16.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
