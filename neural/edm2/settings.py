"""The settings of an EDM2 training."""

import math
import shlex
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

import torch

from ...errors import InvalidInputError
from ...validation import finite_float, integer
from ..devices import Precision
from ..ema import power_exponent

__all__ = ["EDM2Settings"]


@dataclass(frozen=True)
class EDM2Settings:
    """What a user may choose about a training; the defaults are those of the shipped Fashion-MNIST network.

    Attributes
    ----------
    epochs, batch_size
        Length in passes over the data, and images per optimiser step.
    learning_rate, reference_steps, rampup_steps
        Adam's rate is learning_rate / sqrt(max(step / reference_steps, 1)), after a linear ramp over rampup_steps
        (EDM2, Eq. 67).
    label_dropout
        Share of the images shown without their label, which trains the zero label as an unconditional network.
    p_mean, p_std
        log sigma ~ N(p_mean, p_std^2) in training; the defaults put 6 % of all sigma above 20 and 3 % below 0.01, so
        that the whole of the sampler's grid, 80 to 0.002, is trained on. The published pixel-space networks
        (ImageNet 64 x 64) have -0.8 and 1.6, with 1 % and 1 %.
    sigma_rel
        Widths of the averages of the weights, as a share of the training (`power_exponent`); the first is the one
        that is used.
    seed, precision
        Key of all random draws; dtype of the network's convolutions.
    model_channels, channel_mult, num_blocks, attn_resolutions, channels_per_head
        See `EDM2Network`.

    Raises `InvalidInputError` or `DtypeError` for a value out of range; the architecture is checked by the network.
    """

    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 0.01
    reference_steps: int = 500
    rampup_steps: int = 100
    label_dropout: float = 0.25
    p_mean: float = -0.5
    p_std: float = 2.2
    sigma_rel: tuple[float, ...] = (0.05, 0.1)
    seed: int = 0
    precision: Precision = "float32"
    model_channels: int = 32
    channel_mult: tuple[int, ...] = (1, 1, 2, 4)
    num_blocks: int = 1
    attn_resolutions: tuple[int, ...] = (8,)
    channels_per_head: int = 64

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "reference_steps"):
            integer(getattr(self, name), name, minimum=1)
        for name in ("rampup_steps", "seed"):
            integer(getattr(self, name), name, minimum=0)
        rate = finite_float(self.learning_rate, "learning_rate")
        if not 0.0 < rate <= 1.0:
            raise InvalidInputError(f"learning_rate is {rate}; expected a number in (0, 1]")
        dropout = finite_float(self.label_dropout, "label_dropout")
        if not 0.0 <= dropout <= 1.0:
            raise InvalidInputError(f"label_dropout is {dropout}; expected a share in [0, 1]")
        finite_float(self.p_mean, "p_mean")
        spread = finite_float(self.p_std, "p_std")
        if spread <= 0.0:
            raise InvalidInputError(f"p_std is {spread}; expected a positive number")
        if not self.sigma_rel:
            raise InvalidInputError("sigma_rel is empty; expected at least one width")
        for width in self.sigma_rel:
            power_exponent(width)
        if self.precision not in get_args(Precision):
            raise InvalidInputError(
                f"precision is {self.precision!r}; expected one of {', '.join(get_args(Precision))}"
            )

    @property
    def architecture(self) -> dict[str, Any]:
        """The keyword arguments of `EDM2Network` that are settings."""
        return {
            "model_channels": self.model_channels,
            "channel_mult": list(self.channel_mult),
            "num_blocks": self.num_blocks,
            "attn_resolutions": list(self.attn_resolutions),
            "channels_per_head": self.channels_per_head,
        }

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that fix the course of a training, as JSON values: all but its length."""
        settings = asdict(self) | self.architecture | {"sigma_rel": list(self.sigma_rel)}
        del settings["epochs"]
        return settings

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def rate(self, step: int) -> float:
        """Adam's learning rate in the step number ``step`` = 1, 2, ..."""
        ramp = min(step / self.rampup_steps, 1.0) if self.rampup_steps else 1.0
        return self.learning_rate * ramp / math.sqrt(max(step / self.reference_steps, 1.0))

    def command(self, epochs: int, *, continues: bool = False) -> str:
        """The command line that trains on Fashion-MNIST with these settings for ``epochs`` epochs.

        With ``continues`` it goes on from weights that the card describes.
        """
        words = ["fastpatch", "edm2", "train"]
        for setting in fields(self):
            value = epochs if setting.name == "epochs" else getattr(self, setting.name)
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{setting.name.replace('_', '-')}", text]
        words += ["--from", "EARLIER.safetensors"] if continues else []
        return shlex.join(words)
