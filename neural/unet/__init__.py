"""The paper's U-Net on Fashion-MNIST (App. D): network, training and files of weights.

The public names load on first use, and need torch (``pip install "fastpatch[neural]"``).
"""

from typing import TYPE_CHECKING

from ...lazy import lazily

if TYPE_CHECKING:
    from .model import UNetModel
    from .network import UNet
    from .settings import TrainingSettings
    from .training import TrainingDivergedError, denoising_loss, train
    from .weights import load_weights, read_card, save_weights, shipped_weights

_HOME = {
    "TrainingDivergedError": "training",
    "TrainingSettings": "settings",
    "UNet": "network",
    "UNetModel": "model",
    "denoising_loss": "training",
    "load_weights": "weights",
    "read_card": "weights",
    "save_weights": "weights",
    "shipped_weights": "weights",
    "train": "training",
}

__all__ = [
    "TrainingDivergedError",
    "TrainingSettings",
    "UNet",
    "UNetModel",
    "denoising_loss",
    "load_weights",
    "read_card",
    "save_weights",
    "shipped_weights",
    "train",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
