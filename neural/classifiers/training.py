"""Training the Fashion-MNIST classifier, resumable bit for bit, and measuring what its probabilities are worth."""

import hashlib
import math
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...atomic import exclusive_directory
from ...errors import InvalidInputError
from ...validation import finite_float, floating_field, integer
from ..data import CLASS_NAMES, image_hash, pad_images
from ..devices import Precision, resolve_device
from ..tensor_file import write_tensors
from ..trainer import TrainingSession
from .calibration import accuracy, calibration_error, fit_temperature, log_loss
from .fashion import Architecture, FashionClassifier, FashionNet, fashion_network

__all__ = ["ClassifierSettings", "train_classifier"]

_SHIFT = 1
_LARGEST_SHIFT = 2  # pixels: the margin of 28 in 32, so that nothing wraps around
_WARM_UP = 0.1  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class ClassifierSettings:
    """What a user may choose; raises `InvalidInputError` or `DtypeError` for a value out of range.

    AdamW's rate rises linearly to ``learning_rate`` and falls to zero as a cosine; ``held_out`` of the training
    images, the last ones, are not trained on but fix the temperature.
    """

    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    held_out: int = 5000
    seed: int = 0
    precision: Precision = "float32"
    architecture: Architecture = "convolutional"

    def __post_init__(self) -> None:
        for name in ("epochs", "held_out"):
            integer(getattr(self, name), name, minimum=1)
        integer(self.batch_size, "batch_size", minimum=2)
        integer(self.seed, "seed", minimum=0, maximum=2**64 - 1)
        for name in ("learning_rate", "weight_decay"):
            value = finite_float(getattr(self, name), name)
            if not 0.0 <= value <= 1.0:
                raise InvalidInputError(f"{name} is {value}; expected a number in [0, 1]")
        if self.precision not in get_args(Precision):
            raise InvalidInputError(
                f"precision is {self.precision!r}; expected one of {', '.join(get_args(Precision))}"
            )
        if self.architecture not in get_args(Architecture):
            raise InvalidInputError(
                f"architecture is {self.architecture!r}; expected one of {', '.join(get_args(Architecture))}"
            )

    def rate(self, progress: float) -> float:
        """The learning rate after the share ``progress`` of all steps."""
        if progress < _WARM_UP:
            return self.learning_rate * progress / _WARM_UP
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (progress - _WARM_UP) / (1.0 - _WARM_UP)))

    @property
    def command(self) -> str:
        words = ["fastpatch", "edm2", "train-classifier"]
        for name, value in asdict(self).items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join(words)


def train_classifier(
    images: NDArray[np.float32],
    labels: NDArray[np.integer],
    test_images: NDArray[np.float32],
    test_labels: NDArray[np.integer],
    settings: ClassifierSettings,
    out: str | Path,
    *,
    device: str | torch.device | None = None,
    data_sha256: str | None = None,
    checkpoint_minutes: float = 2.0,
    progress: bool = False,
) -> Path:
    """Train on grey ``images`` (N, 1, 28, 28) of the classes ``labels`` (N,); returns the file of weights.

    ``out`` gets ``classifier.checkpoint``, from which an interrupted training goes on, and
    ``classifier.safetensors``, weights and card after the last complete epoch. The card holds accuracy, log loss and
    expected calibration error on the test images, which nothing is fitted to.

    Raises `InvalidInputError`, `DtypeError`, `TrainingDivergedError`, `ResultFileError` and `OutputError` as the
    training of an EDM2 network does.
    """
    sets = [
        _checked(images, labels, "images", "labels"),
        _checked(test_images, test_labels, "test_images", "test_labels"),
    ]
    if len(sets[0][0]) <= settings.held_out:
        raise InvalidInputError(f"held_out is {settings.held_out} of {len(sets[0][0])} images; expected fewer")
    interval = 60.0 * finite_float(checkpoint_minutes, "checkpoint_minutes")
    with exclusive_directory(out, "training") as directory:
        session = _Session(*sets[0], *sets[1], settings, directory, resolve_device(device), data_sha256)
        session.run(interval, progress)
    return session.weights


def _checked(
    images: NDArray[np.float32], labels: NDArray[np.integer], name: str, label_name: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    fields = floating_field(images, name, minimum_ndim=4)
    if fields.ndim != 4 or fields.shape[1] != 1:
        raise InvalidInputError(f"{name} has shape {fields.shape}; expected (N, 1, 28, 28)")
    classes = np.asarray(labels)
    if classes.dtype.kind not in "iu" or classes.shape != (len(fields),):
        raise InvalidInputError(
            f"{label_name} has shape {classes.shape} and dtype {classes.dtype}; expected ({len(fields)},) integers"
        )
    if classes.min() < 0 or classes.max() >= len(CLASS_NAMES):
        raise InvalidInputError(
            f"{label_name} range from {classes.min()} to {classes.max()}; expected 0 ... {len(CLASS_NAMES) - 1}"
        )
    return pad_images(fields.astype(np.float32), FashionNet.INPUT_SIDE), classes.astype(np.int64)


class _Session(TrainingSession):
    """One run of a training, from its checkpoint or from the start."""

    def __init__(
        self,
        images: NDArray[np.float32],
        labels: NDArray[np.int64],
        test_images: NDArray[np.float32],
        test_labels: NDArray[np.int64],
        settings: ClassifierSettings,
        out: Path,
        device: torch.device,
        data_sha256: str | None,
    ) -> None:
        self.settings = settings
        self.data_sha256 = hashlib.sha256(images.data).hexdigest() if data_sha256 is None else data_sha256
        kept = len(images) - settings.held_out
        self.images = torch.from_numpy(images[:kept]).to(device)
        self.labels = torch.from_numpy(labels[:kept]).to(device)
        self.held_out = images[kept:], labels[kept:]
        self.test = test_images, test_labels
        self.total_steps = settings.epochs * math.ceil(kept / settings.batch_size)
        # Initial weights from the seed, without touching the caller's random state.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            net = fashion_network(settings.architecture)
        self.net = net.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        super().__init__(
            out,
            "classifier",
            self.net,
            torch.optim.AdamW(self.net.parameters(), weight_decay=settings.weight_decay),
            asdict(settings)
            | {
                "data_sha256": self.data_sha256,
                "labels_sha256": hashlib.sha256(labels.data).hexdigest(),
                "images": len(images),
            },
            device,
            seed=settings.seed,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            n_images=kept,
            sigma_rel=(),
        )

    def _step(self, chosen: Tensor) -> float:
        rng = self._generator(_SHIFT, self.progress.steps)
        shifts = rng.integers(-_LARGEST_SHIFT, _LARGEST_SHIFT + 1, size=(len(chosen), 2))
        indices = chosen.to(self.device)
        shifted = torch.stack(
            [
                torch.roll(image, (int(down), int(right)), (1, 2))
                for image, (down, right) in zip(self.images[indices], shifts, strict=True)
            ]
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(self.progress.steps / self.total_steps)
        self.optimizer.zero_grad()
        total = self._backward(self._loss, (shifted, self.labels[indices]), len(chosen))
        norms = [weight.grad.norm() for weight in self.net.parameters() if weight.grad is not None]
        self._check_finite(total, torch.stack(norms).norm())
        self.optimizer.step()
        return total.item()

    def _loss(self, x: Tensor, classes: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            logits = self.net(x.contiguous(memory_format=torch.channels_last))
        return nn.functional.cross_entropy(logits.float(), classes)

    def _save_weights(self) -> None:
        classifier = FashionClassifier(self.net, {})
        self.net.temperature.fill_(1.0)
        held_out = self._logits(classifier, self.held_out[0])
        self.net.temperature.fill_(fit_temperature(held_out, self.held_out[1]))
        test, classes = self._logits(classifier, self.test[0]), self.test[1]
        published = self.data_sha256 == image_hash("train")
        card = {
            **asdict(self.settings),
            **self._card(),
            "architecture": self.net.architecture,
            "data_sha256": self.data_sha256,
            "temperature": self.net.temperature.item(),
            "test_images": len(classes),
            "test_accuracy": accuracy(test, classes),
            "test_log_loss": log_loss(test, classes),
            "test_calibration_error": calibration_error(test, classes),
            "command": self.settings.command if published else None,
        }
        write_tensors(self.weights, self.net.state_dict(), card)
        self.net.train()

    @staticmethod
    def _logits(classifier: FashionClassifier, images: NDArray[np.float32]) -> NDArray[np.float64]:
        return classifier.logits(torch.from_numpy(images)).double().numpy()
