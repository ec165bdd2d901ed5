"""The settings of a training, and the constants of App. D.4 that are not settings."""

import shlex
from dataclasses import asdict, dataclass
from typing import Any, get_args

from ...errors import InvalidInputError
from ...validation import finite_float, integer
from ..data import Variant
from ..devices import Precision
from ..ema import power_exponent
from .network import Padding

__all__ = ["CLIP_NORM", "T_MAX", "T_MIN", "TrainingSettings"]

T_MIN, T_MAX = 1e-3, 50.0  # training times are log-uniform between these
CLIP_NORM = 1.0  # largest norm of the gradient of all weights


@dataclass(frozen=True)
class TrainingSettings:
    """What a user may choose about a training; the defaults are those of App. D.4.

    ``sigma_rel`` are the widths of the moving averages that are kept beside the weights (`ema.power_exponent`); the
    paper has none, and they do not change the course of the training.

    Raises `InvalidInputError` or `DtypeError` for a value out of range.
    """

    variant: Variant = "binarised"
    epochs: int = 30
    batch_size: int = 256
    learning_rate: float = 2e-4
    seed: int = 0
    padding: Padding = "zeros"
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
        for name, kind in (("variant", Variant), ("padding", Padding), ("precision", Precision)):
            found, known = getattr(self, name), get_args(kind)
            if found not in known:
                raise InvalidInputError(f"{name} is {found!r}; expected one of {', '.join(known)}")

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
        words = ["fastpatch", "unet", "train"]
        words += ["--grey"] if self.variant == "grey" else []
        words += ["--epochs", str(epochs)]
        for name in ("batch_size", "learning_rate", "seed", "padding", "precision"):
            words += [f"--{name.replace('_', '-')}", str(getattr(self, name))]
        words += ["--from", "EARLIER.safetensors"] if continues else []
        return shlex.join(words)
