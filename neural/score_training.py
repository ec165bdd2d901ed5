"""Training a network of x and t by denoising score matching: what the networks of images here have in common.

The noise process is that of App. D.2, the times are log-uniform (App. D.4), the optimiser is AdamW at a constant rate
with torch's own moments and weight decay, and moving averages of the weights are kept beside them.
"""

import hashlib
import math
import shlex
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import InvalidInputError
from ..validation import finite_float, integer
from .data import image_hash
from .devices import Precision
from .ema import power_exponent
from .tensor_file import write_tensors
from .trainer import TrainingSession
from .warm_start import read_earlier

__all__ = ["CLIP_NORM", "T_MAX", "T_MIN", "ScoreSettings", "ScoreTraining", "save_network"]

T_MIN, T_MAX = 1e-3, 50.0  # training times are log-uniform between these
CLIP_NORM = 1.0  # largest norm of the gradient of all weights

_NOISE = 1
# Measured 1.4 times as fast in float32 as 256 images at once, with a quarter of the memory.
_CPU_CHUNK = 64


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """What a user may choose about any such training; the defaults are those of App. D.4.

    ``sigma_rel`` are the widths of the moving averages that are kept beside the weights (`ema.power_exponent`); the
    paper has none, and they do not change the course of the training.

    Raises `InvalidInputError` or `DtypeError` for a value out of range.
    """

    # The words that begin the command, and the fields that its options name.
    COMMAND: ClassVar[tuple[str, ...]]
    OPTIONS: ClassVar[tuple[str, ...]]

    epochs: int = 30
    batch_size: int = 256
    learning_rate: float = 2e-4
    seed: int = 0
    precision: Precision = "float32"
    sigma_rel: tuple[float, ...] = (0.05,)

    def __post_init__(self) -> None:
        integer(self.epochs, "epochs", minimum=1)
        integer(self.batch_size, "batch_size", minimum=1)
        integer(self.seed, "seed", minimum=0, maximum=2**64 - 1)
        rate = finite_float(self.learning_rate, "learning_rate")
        if not 0.0 < rate <= 1.0:
            raise InvalidInputError(f"learning_rate is {rate}; expected a number in (0, 1]")
        for width in self.sigma_rel:
            power_exponent(width)
        self._check_choice("precision", Precision)

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that fix the course of a training: all but its length."""
        settings = asdict(self) | {"sigma_rel": list(self.sigma_rel)}
        del settings["epochs"]
        return settings

    def command(self, epochs: int, *, continues: bool = False) -> str:
        """The command line that trains on Fashion-MNIST with these settings for ``epochs`` epochs.

        With ``continues`` it goes on from weights that the card describes.
        """
        words = [*self.COMMAND, *self._flags(), "--epochs", str(epochs)]
        for name in self.OPTIONS:
            words += [f"--{name.replace('_', '-')}", str(getattr(self, name))]
        words += ["--from", "EARLIER.safetensors"] if continues else []
        return shlex.join(words)

    def _flags(self) -> list[str]:
        return []

    def _check_choice(self, name: str, kind: Any) -> None:
        found, known = getattr(self, name), get_args(kind)
        if found not in known:
            raise InvalidInputError(f"{name} is {found!r}; expected one of {', '.join(known)}")


def save_network(path: str | Path, net: nn.Module, card: Mapping[str, Any]) -> None:
    """Write the float32 weights of ``net`` and its card, replacing ``path`` in one step.

    ``card`` is any mapping that JSON can hold; ``net.architecture`` is added to it.
    Raises `OutputError` where the file cannot be written.
    """
    tensors = {name: tensor.float() for name, tensor in net.state_dict().items()}
    write_tensors(path, tensors, {"architecture": net.architecture, **card})


class ScoreTraining(TrainingSession):
    """One run of such a training, from its checkpoint or from the start.

    ``make`` makes the network from the seed; ``digest`` identifies the images (N, 1, H, W), by default that of their
    float32 values. The other parameters are those of `TrainingSession`.
    """

    def __init__(
        self,
        images: NDArray[np.float32],
        make: Callable[[], nn.Module],
        settings: ScoreSettings,
        out: Path,
        name: str,
        device: torch.device,
        digest: str | None,
        earlier: str | Path | None,
    ) -> None:
        self.settings = settings
        contiguous = np.ascontiguousarray(images)
        self.data_sha256 = hashlib.sha256(contiguous.data).hexdigest() if digest is None else digest
        self.images = torch.from_numpy(contiguous).to(device)
        # Initial weights from the seed, without touching the caller's random state.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            net = make()
        # Channels last is the layout in which both oneDNN and cuDNN convolve fastest.
        self.net: Any = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(
            out,
            name,
            self.net,
            torch.optim.AdamW(self.net.parameters(), lr=settings.learning_rate),
            settings.identity | {"data_sha256": self.data_sha256, "images": len(images)},
            device,
            seed=settings.seed,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            n_images=len(images),
            sigma_rel=settings.sigma_rel,
            earlier=lambda: read_earlier(earlier, self.net, self.net.architecture),
        )

    @abstractmethod
    def _loss(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """The mean loss of clean fields (B, 1, H, W) at times (B,) with standard normal noise of their shape."""

    def _clean(self, chosen: Tensor) -> Tensor:
        """The clean fields of one step, made of the images numbered ``chosen``: those images."""
        return self.images[chosen.to(self.device)]

    def _step(self, chosen: Tensor) -> float:
        rng = self._generator(_NOISE, self.progress.steps)
        t = torch.from_numpy(np.exp(rng.uniform(math.log(T_MIN), math.log(T_MAX), len(chosen)))).float()
        x0 = self._clean(chosen)
        noise = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32))
        t, noise = t.to(self.device), noise.to(self.device)

        self.optimizer.zero_grad()
        chunk = _CPU_CHUNK if self.device.type == "cpu" else len(chosen)
        total = self._backward(self._in_precision, (x0, t, noise), chunk)
        self._check_finite(total, nn.utils.clip_grad_norm_(self.net.parameters(), CLIP_NORM))
        self.optimizer.step()
        return total.item()

    def _in_precision(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            return self._loss(x0, t, noise)

    def _save_weights(self) -> None:
        published = self.data_sha256 == image_hash("train")
        card = {
            **{entry.name: getattr(self.settings, entry.name) for entry in fields(self.settings)},
            **self._card(),
            "data_sha256": self.data_sha256,
            "weight_decay": self.optimizer.param_groups[0]["weight_decay"],
            "clip_norm": CLIP_NORM,
            "time_range": [T_MIN, T_MAX],
            "command": self.settings.command(self.progress.epoch, continues=self.progress.continues is not None)
            if published
            else None,
        }
        for width, mean in self.averages.items():
            save_network(self._average_path(width), mean, card | {"average": width})
        save_network(self.weights, self.net, card)
