"""EDM2 networks (arXiv:2312.02696): released snapshots read safely, networks of our own, sampling and analysis.

The public names load on first use, and need torch (``pip install fastpatch[neural]``).
"""

from typing import TYPE_CHECKING

from ...lazy import lazily

if TYPE_CHECKING:
    from .analysis import analyze, chosen_classes, luminance
    from .denoiser import Denoiser, drift
    from .grid import sigma_grid
    from .guidance import GuidedDenoiser, Pulse, constant
    from .modes import mode_derivatives
    from .network import EDM2Network
    from .releases import RELEASES
    from .sampler import Samples, latents, sample
    from .settings import EDM2Settings
    from .training import train
    from .weights import convert, load, read_card, save_network, shipped_network

_HOME = {
    "Denoiser": "denoiser",
    "EDM2Network": "network",
    "EDM2Settings": "settings",
    "GuidedDenoiser": "guidance",
    "Pulse": "guidance",
    "RELEASES": "releases",
    "Samples": "sampler",
    "analyze": "analysis",
    "chosen_classes": "analysis",
    "constant": "guidance",
    "convert": "weights",
    "drift": "denoiser",
    "latents": "sampler",
    "load": "weights",
    "luminance": "analysis",
    "mode_derivatives": "modes",
    "read_card": "weights",
    "sample": "sampler",
    "save_network": "weights",
    "shipped_network": "weights",
    "sigma_grid": "grid",
    "train": "training",
}

__all__ = [
    "RELEASES",
    "Denoiser",
    "EDM2Network",
    "EDM2Settings",
    "GuidedDenoiser",
    "Pulse",
    "Samples",
    "analyze",
    "chosen_classes",
    "constant",
    "convert",
    "drift",
    "latents",
    "load",
    "luminance",
    "mode_derivatives",
    "read_card",
    "sample",
    "save_network",
    "shipped_network",
    "sigma_grid",
    "train",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
