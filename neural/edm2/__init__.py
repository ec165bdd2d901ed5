"""EDM2 networks (arXiv:2312.02696): the network, its training, and released snapshots read safely.

The public names load on first use, and need torch (``pip install "fastpatch[neural]"``).
"""

from typing import TYPE_CHECKING

from ...lazy import lazily

if TYPE_CHECKING:
    from .network import EDM2Network
    from .releases import RELEASES
    from .settings import EDM2Settings
    from .training import train
    from .weights import convert, load, read_card, save_network, shipped_network

_HOME = {
    "EDM2Network": "network",
    "EDM2Settings": "settings",
    "RELEASES": "releases",
    "convert": "weights",
    "load": "weights",
    "read_card": "weights",
    "save_network": "weights",
    "shipped_network": "weights",
    "train": "training",
}

__all__ = [
    "RELEASES",
    "EDM2Network",
    "EDM2Settings",
    "convert",
    "load",
    "read_card",
    "save_network",
    "shipped_network",
    "train",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
