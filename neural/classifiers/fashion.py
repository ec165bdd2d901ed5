"""Compact classifiers of Fashion-MNIST, for images of 28 x 28 or padded to 32 x 32; the convolutional network."""

from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from ...errors import InvalidInputError, ResultFileError
from ..data import CLASS_NAMES, SIDE
from ..shipped import shipped_file
from ..tensor_file import network_with, read_tensors
from .base import check_images
from .perceptron import FashionPerceptron

__all__ = ["Architecture", "FashionClassifier", "FashionNet", "fashion_network", "shipped_classifier"]

Architecture = Literal["convolutional", "perceptron"]

_BATCH = 500


class FashionNet(nn.Module):
    """Six 3x3 convolutions with batch norm, halving the side twice, then a mean over pixels and one linear map.

    (B, 1, 32, 32) in [-1, 1] -> logits (B, 10). The buffer ``temperature`` divides them in evaluation mode.
    """

    NAME = "Fashion-MNIST classifier"
    INPUT_SIDE = 32
    WIDTHS = (24, 48, 96)

    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = 1
        for level, width in enumerate(self.WIDTHS):
            layers += [nn.MaxPool2d(2)] if level else []
            for _ in range(2):
                layers += [nn.Conv2d(last, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                last = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(last, len(CLASS_NAMES))
        self.register_buffer("temperature", torch.ones([]))

    @property
    def architecture(self) -> dict[str, Any]:
        """What a file of weights must agree with, as JSON values."""
        return {"name": self.NAME, "widths": list(self.WIDTHS), "input_side": self.INPUT_SIDE}

    def forward(self, x: Tensor) -> Tensor:
        logits = self.head(self.features(x).mean((2, 3)))
        return cast(Tensor, logits if self.training else logits / self.temperature)


def fashion_network(architecture: Architecture = "convolutional") -> FashionNet | FashionPerceptron:
    """A network of this architecture with random weights; `InvalidInputError` for another name."""
    if architecture not in get_args(Architecture):
        known = ", ".join(map(repr, get_args(Architecture)))
        raise InvalidInputError(f"architecture is {architecture!r}; expected one of {known}")
    return FashionNet() if architecture == "convolutional" else FashionPerceptron()


class FashionClassifier:
    """`FashionNet` or `FashionPerceptron` with trained weights as a `Classifier`.

    ``card`` says how it was trained and how it scores on the test set. See `load` for the weights.
    """

    def __init__(self, net: FashionNet | FashionPerceptron, card: dict[str, Any]) -> None:
        self._net = net.eval()
        self.card = card

    @classmethod
    def load(cls, path: str | Path | None = None, device: torch.device | None = None) -> "FashionClassifier":
        """From a file of `train_classifier`, by default the convolutional one that is shipped.

        Raises `ResultFileError` for a file that is missing, damaged or of another network.
        """
        source = shipped_classifier() if path is None else Path(path)
        card, tensors = read_tensors(source)
        found = card.get("architecture")
        # Drawn and at once overwritten: the caller's random state is left alone.
        with torch.random.fork_rng(devices=[]):
            candidates = [fashion_network(name) for name in get_args(Architecture)]
        net = next((one for one in candidates if one.architecture == found), None)
        if net is None:
            expected = " or ".join(repr(one.architecture) for one in candidates)
            raise ResultFileError(f"{source} holds the architecture {found!r}; expected {expected}")
        net = network_with(net, tensors, source, net.NAME)
        # Channels last is the layout in which both oneDNN and cuDNN convolve fastest.
        return cls(net.to(device, memory_format=torch.channels_last), card)  # type: ignore[call-overload]

    @property
    def labels(self) -> tuple[str, ...]:
        return CLASS_NAMES

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """See `Classifier`; one channel, 28 x 28 or 32 x 32. Raises `InvalidInputError` or `DtypeError` otherwise."""
        check_images(images, channels=(1,))
        side = self._net.INPUT_SIDE
        if tuple(images.shape[2:]) not in ((SIDE, SIDE), (side, side)):
            raise InvalidInputError(
                f"images have {images.shape[2]} x {images.shape[3]} pixels; "
                f"expected {SIDE} x {SIDE}, or {side} x {side} padded with -1"
            )
        margin = (side - images.shape[2]) // 2
        padded = nn.functional.pad(images.float().clamp(-1.0, 1.0), (margin,) * 4, value=-1.0)
        device = self._net.temperature.device
        return torch.cat([self._net(part.to(device)).cpu() for part in torch.split(padded, _BATCH)])

    def describe(self) -> dict[str, Any]:
        names = ("architecture", "test_accuracy", "test_calibration_error", "data_sha256", "seed", "date", "command")
        return {name: self.card.get(name) for name in names}


def shipped_classifier(architecture: Architecture = "convolutional") -> Path:
    """The file of weights that comes with the package; `ResultFileError` where this installation has none."""
    suffix = {"convolutional": "", "perceptron": "-perceptron"}
    if architecture not in suffix:
        known = ", ".join(map(repr, suffix))
        raise InvalidInputError(f"architecture is {architecture!r}; expected one of {known}")
    command = f"fastpatch edm2 train-classifier --architecture {architecture}"
    name = f"classifier-fashion{suffix[architecture]}.safetensors"
    return shipped_file(name, "such classifier of Fashion-MNIST", command)
