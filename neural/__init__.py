"""Trained networks under the same observables as the patch model: the paper's U-Net (App. D) and its data.

The public names load on first use; all but those of `data` need torch (``pip install fastpatch[neural]``).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import DataFileError, image_hash, load_images, load_labels
    from .settings import TrainingSettings
    from .training import TrainingDivergedError, denoising_loss, train
    from .unet import UNet
    from .weights import load_weights, read_card, save_weights

_HOME = {
    "DataFileError": "data",
    "TrainingDivergedError": "training",
    "TrainingSettings": "settings",
    "UNet": "unet",
    "denoising_loss": "training",
    "image_hash": "data",
    "load_images": "data",
    "load_labels": "data",
    "load_weights": "weights",
    "read_card": "weights",
    "save_weights": "weights",
    "train": "training",
}

__all__ = [
    "DataFileError",
    "TrainingDivergedError",
    "TrainingSettings",
    "UNet",
    "denoising_loss",
    "image_hash",
    "load_images",
    "load_labels",
    "load_weights",
    "read_card",
    "save_weights",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
