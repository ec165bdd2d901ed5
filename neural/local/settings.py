"""The settings of a training of the network of one neighbourhood."""

from dataclasses import dataclass
from typing import ClassVar

from ...validation import integer
from ..score_training import ScoreSettings
from .network import Prediction

__all__ = ["LocalTrainingSettings"]


@dataclass(frozen=True, kw_only=True)
class LocalTrainingSettings(ScoreSettings):
    """What a user may choose about a training of `LocalNetwork`; see `ScoreSettings`.

    An epoch takes one window of ``crop`` x ``crop`` sites of every image, at a random place and wrapped around the
    border: neighbouring patches are alike, so that few of them of many images teach more than all of a few.
    """

    COMMAND: ClassVar[tuple[str, ...]] = ("fastpatch", "images", "train")
    OPTIONS: ClassVar[tuple[str, ...]] = (
        "patch_size", "width", "depth", "prediction", "crop", "batch_size", "learning_rate", "seed", "precision",
    )  # fmt: skip

    patch_size: int = 5
    width: int = 64
    depth: int = 3
    prediction: Prediction = "image"
    crop: int = 8
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 1e-3
    sigma_rel: tuple[float, ...] = (0.1,)

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(self.crop, "crop", minimum=1)
        self._check_choice("prediction", Prediction)
