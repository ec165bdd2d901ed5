"""The settings of a training, and the constants of App. D.4 that are not settings."""

from dataclasses import dataclass
from typing import ClassVar

from ..data import Variant
from ..score_training import CLIP_NORM, T_MAX, T_MIN, ScoreSettings
from .network import Padding, Prediction

__all__ = ["CLIP_NORM", "T_MAX", "T_MIN", "TrainingSettings"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(ScoreSettings):
    """What a user may choose about a training of the U-Net; see `ScoreSettings`."""

    COMMAND: ClassVar[tuple[str, ...]] = ("fastpatch", "unet", "train")
    OPTIONS: ClassVar[tuple[str, ...]] = ("batch_size", "learning_rate", "seed", "padding", "prediction", "precision")

    variant: Variant = "binarised"
    padding: Padding = "zeros"
    prediction: Prediction = "epsilon"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_choice("variant", Variant)
        self._check_choice("padding", Padding)
        self._check_choice("prediction", Prediction)

    def _flags(self) -> list[str]:
        return ["--grey"] if self.variant == "grey" else []
