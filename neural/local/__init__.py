"""A network that sees exactly one P x P neighbourhood: network, training and files of weights.

The public names load on first use, and need torch (``pip install "fastpatch[neural]"``).
"""

from typing import TYPE_CHECKING

from ...lazy import lazily

if TYPE_CHECKING:
    from .model import LocalModel
    from .network import LocalNetwork
    from .settings import LocalTrainingSettings
    from .training import train
    from .weights import load_weights, shipped_weights

_HOME = {
    "LocalModel": "model",
    "LocalNetwork": "network",
    "LocalTrainingSettings": "settings",
    "load_weights": "weights",
    "shipped_weights": "weights",
    "train": "training",
}

__all__ = ["LocalModel", "LocalNetwork", "LocalTrainingSettings", "load_weights", "shipped_weights", "train"]

__getattr__, __dir__ = lazily(__name__, _HOME)
