"""Trained networks of one neighbourhood as safetensors files with a card."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ...errors import FastpatchError, ResultFileError
from ..shipped import shipped_file
from ..tensor_file import network_with, read_tensors
from .network import LocalNetwork

__all__ = ["load_weights", "shipped_weights"]


def load_weights(path: str | Path) -> tuple[LocalNetwork, dict[str, Any]]:
    """The network, float32 on the CPU in evaluation mode, and its card.

    Names and shapes of all tensors are checked against the architecture that the card names.

    Raises `ResultFileError` for a file that is missing, damaged, without a card, or of another architecture.
    """
    source = Path(path)
    card, tensors = read_tensors(source)
    named = card.get("architecture")
    net = None
    # Initial weights are random, and the caller's generator is not ours to move.
    with torch.random.fork_rng(devices=[]):
        expected = LocalNetwork().architecture
        if isinstance(named, dict):
            arguments = {key: named[key] for key in ("size", "width", "depth", "prediction") if key in named}
            with suppress(FastpatchError):
                net = LocalNetwork(**arguments)
    if net is None or named != net.architecture:
        raise ResultFileError(f"{source} holds the architecture {named!r}; expected one like {expected!r}")
    return network_with(net, tensors, source, LocalNetwork.NAME), card


def shipped_weights(size: int = 5) -> Path:
    """The file of weights that comes with the package; `ResultFileError` where this installation has none."""
    return shipped_file(f"local-{size}.safetensors", f"network of {size} x {size} pixels", "fastpatch images train")
