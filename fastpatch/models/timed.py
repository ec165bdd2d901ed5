"""A model for every range of times, such as a patch size that changes with the noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import plain_array
from .closed_form import ClosedFormModel

__all__ = ["TimedModel"]


class TimedModel(ClosedFormModel):
    """Models that take turns in time: ``models[n]`` acts at times up to ``until[n]``, the last one beyond.

    Parameters
    ----------
    models
        At least one model with a posterior mean, all with the same schedule.
    until
        Increasing times, one fewer than there are models.

    With patch machines of several sizes this is the size P(t). Raises `InvalidInputError` for what does not fit.
    """

    def __init__(self, models: Sequence[ClosedFormModel], until: ArrayLike) -> None:
        limits = np.atleast_1d(plain_array(until, "until").astype(np.float64))
        if len(models) == 0 or limits.shape != (len(models) - 1,):
            raise InvalidInputError(
                f"until has shape {limits.shape} for {len(models)} models; expected one time fewer than models"
            )
        if (np.diff(limits) <= 0.0).any() or not (limits > 0.0).all():
            raise InvalidInputError(f"until is {limits.tolist()}; expected increasing times > 0")
        if len({model.schedule.name for model in models}) > 1:
            raise InvalidInputError("the models have different schedules; expected one")
        self.models, self.until = tuple(models), limits
        self.schedule = models[0].schedule

    def __repr__(self) -> str:
        return f"TimedModel({list(self.models)!r}, until={self.until.tolist()})"

    def at(self, t: float) -> ClosedFormModel:
        """The model that acts at time t."""
        return self.models[int(np.searchsorted(self.until, t))]

    @property
    def Omega(self) -> float:
        """That of the model at the latest times."""
        return self.models[-1].Omega

    def describe(self) -> dict[str, Any]:
        return {
            "type": "TimedModel",
            "models": [model.describe() for model in self.models],
            "until": self.until.tolist(),
            "beta": self.schedule.name,
        }

    def arrays(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
        """None: `describe` names the models."""
        return {}

    def check_lattice(self, shape: tuple[int, int]) -> None:
        for model in self.models:
            model.check_lattice(shape)

    def _precision(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return np.result_type(*(model._precision(dtype) for model in self.models))

    def _posterior_mean(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        return self.at(t)._posterior_mean(x, t)

    def _mode_overlaps(
        self, x: NDArray[np.float64], t: float, shells: NDArray[np.int64], diagonal: bool
    ) -> NDArray[np.float64]:
        return self.at(t)._mode_overlaps(x, t, shells, diagonal)

    def _spectrum_overlap(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        return self.at(t)._spectrum_overlap(x, t)
