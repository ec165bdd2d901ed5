"""What a file of an EDM2 network holds: our own safetensors, a released snapshot, or a release by name."""

import hashlib
from dataclasses import dataclass
from inspect import signature
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import FastpatchError, ResultFileError
from ..tensor_file import check_tensors, read_tensors
from .network import EDM2Network
from .pickle_reader import RefusedError
from .recorded import check_modules, recorded_architecture
from .releases import LICENCE, RELEASES, confirm, fetch
from .snapshot import parse_snapshot

__all__ = ["Content", "described", "read_network_file"]

_NAME = "EDM2"
_DEFAULTS = signature(EDM2Network).parameters
_KINDS = "a safetensors file of fastpatch or a released snapshot"


@dataclass(frozen=True)
class Content:
    """A network without memory for its tensors, these in their stored dtype, and the card.

    ``from_snapshot`` tells a pickle from safetensors.
    """

    net: EDM2Network
    tensors: dict[str, Tensor]
    card: dict[str, Any]
    from_snapshot: bool


def described(net: EDM2Network) -> dict[str, Any]:
    """The architecture as cards hold it."""
    return {"name": _NAME, **net.architecture}


def read_network_file(path: str | Path) -> Content:
    """Read and check the file at ``path`` or, where there is none, the release of that name.

    Nothing in it is executed; memory is bounded by the size of the file. It must not be changed meanwhile.

    Raises `ResultFileError` for everything that is not such a network, and where a release cannot be had.
    """
    source, name = Path(path), str(path).removesuffix(".pkl")
    if source.is_file():
        return _read_file(source)
    if name not in RELEASES:
        releases = f", or one of the releases {', '.join(RELEASES)}" if name.startswith("edm2-") else ""
        raise ResultFileError(f"{source} does not exist; expected {_KINDS}{releases}")
    source, is_new = fetch(name)
    try:
        content = _read_file(source)
        if not content.from_snapshot:
            raise ResultFileError(f"{source} is a safetensors file; expected the released snapshot")
    except ResultFileError:
        if is_new:  # what a captive portal sends must not stay in the cache
            source.unlink(missing_ok=True)
        raise
    confirm(source, content.card["source_sha256"])
    return content


def _read_file(source: Path) -> Content:
    try:
        with source.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ResultFileError(f"{source} cannot be read ({error.strerror}); expected {_KINDS}") from None
    # Safetensors begin with eight bytes of length and a JSON object, pickles since protocol 2 with 0x80.
    if start[8:] == b"{":
        return _read_safetensors(source)
    if start[:1] == b"\x80":
        return _read_snapshot(source)
    raise ResultFileError(f"{source} begins like neither safetensors nor a pickle; expected {_KINDS}")


def _read_safetensors(source: Path) -> Content:
    card, tensors = read_tensors(source)
    architecture = card.get("architecture")
    if not isinstance(architecture, dict) or architecture.get("name") != _NAME:
        raise ResultFileError(f"{source} holds the architecture {architecture!r}; expected one named {_NAME!r}")
    arguments = {key: value for key, value in architecture.items() if key != "name"}
    return Content(_network(arguments, tensors, source), tensors, card, from_snapshot=False)


def _read_snapshot(source: Path) -> Content:
    try:
        with source.open("rb") as file:
            data = mmap(file.fileno(), 0, access=ACCESS_READ)
        snapshot = parse_snapshot(data)
        arguments = recorded_architecture(snapshot)
        tensors = {name: torch.from_numpy(array) for name, array in snapshot.tensors.items()}
        net = _network(arguments, tensors, source)
        check_modules(snapshot, net.architecture)
    except RefusedError as error:
        raise ResultFileError(f"{source} is refused: {error}; expected {_KINDS}") from None
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})
    card = {
        "architecture": described(net),
        "dtype": ", ".join(dtypes),
        "source": source.name,
        "source_sha256": hashlib.sha256(data).hexdigest(),
    }
    if source.stem in RELEASES:
        card["licence"] = f"{LICENCE}, that of the release {source.stem}"
    return Content(net, tensors, card, from_snapshot=True)


def _network(arguments: dict[str, Any], tensors: dict[str, Tensor], source: Path) -> EDM2Network:
    """The network that these arguments make, for just these tensors, in evaluation mode on the device "meta"."""
    try:
        # Each block has tensors of its own: a number of blocks that is made up must not keep us busy.
        blocks, levels = (arguments.get(name, _DEFAULTS[name].default) for name in ("num_blocks", "channel_mult"))
        blocks = int(blocks) * max(1, len(levels))
        if blocks > len(tensors):
            raise ValueError(f"{blocks} blocks for {len(tensors)} tensors")
        with torch.device("meta"):
            net = EDM2Network(**arguments)
    except (FastpatchError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ResultFileError(f"{source} records an architecture that is none of {_NAME} ({error})") from error
    check_tensors(tensors, net.state_dict(), source, f"{_NAME} as it records it")
    return net.eval()
