"""Trained U-Nets as safetensors files that carry a card: what the network is and how it was trained."""

from pathlib import Path
from typing import Any, get_args

import torch

from ...errors import ResultFileError
from ..data import Variant
from ..score_training import save_network as save_weights
from ..shipped import shipped_file
from ..tensor_file import network_with, read_card, read_tensors
from .network import Padding, Prediction, UNet

__all__ = ["file_stem", "load_weights", "read_card", "save_weights", "shipped_weights"]


def file_stem(variant: Variant, prediction: Prediction) -> str:
    """What the files of a network of these images and this prediction are called."""
    return f"unet-{variant}" if prediction == "epsilon" else f"unet-{variant}-{prediction}"


def load_weights(path: str | Path) -> tuple[UNet, dict[str, Any]]:
    """The network, float32 on the CPU in evaluation mode, and its card.

    Names and shapes of all tensors are checked against the architecture that the card names.

    Raises `ResultFileError` for a file that is missing, damaged, without a card, or of another architecture.
    """
    source = Path(path)
    card, tensors = read_tensors(source)
    architecture = card.get("architecture")
    # Initial weights are random, and the caller's generator is not ours to move.
    with torch.random.fork_rng(devices=[]):
        known = [UNet(padding, prediction) for padding in get_args(Padding) for prediction in get_args(Prediction)]
    net = next((one for one in known if one.architecture == architecture), None)
    if net is None:
        raise ResultFileError(
            f"{source} holds the architecture {architecture!r}; expected {known[0].architecture!r}, or circular, or of "
            "v"
        )
    return network_with(net, tensors, source, UNet.NAME), card


def shipped_weights(variant: Variant = "binarised", prediction: Prediction = "v") -> Path:
    """The file of weights that comes with the package; `ResultFileError` where this installation has none.

    The network that predicts v has the less loss on held-out images and is exact at large t; the paper's predicts the
    noise, ``"epsilon"`` (docs/networks.md compares them).
    """
    command = f"fastpatch unet train{' --grey' if variant == 'grey' else ''} --prediction {prediction}"
    name = f"{file_stem(variant, prediction)}.safetensors"
    return shipped_file(name, f"weights of the {variant} model that predicts {prediction}", command)
