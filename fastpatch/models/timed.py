"""A model for every range of times, such as a patch size that changes with the noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DtypeError, InvalidInputError
from ..validation import positive_time, real_array
from .base import PosteriorMeanModel
from .identity import model_identity

__all__ = ["TimedModel"]


class TimedModel(PosteriorMeanModel):
    """Models that take turns in time: ``models[n]`` acts at times up to ``until[n]``, the last one beyond.

    Parameters
    ----------
    models
        At least one `PosteriorMeanModel`, all with the same schedule.
    until
        Increasing times, one fewer than there are models.

    Every method is that of the model that acts, so that what the models override is what runs. With patch machines of
    several sizes this is the size P(t). Raises `InvalidInputError` or `DtypeError` for what does not fit.
    """

    def __init__(self, models: Sequence[PosteriorMeanModel], until: ArrayLike) -> None:
        limits = np.atleast_1d(real_array(until, "until"))
        if len(models) == 0 or limits.shape != (len(models) - 1,):
            raise InvalidInputError(
                f"until has shape {limits.shape} for {len(models)} models; expected one time fewer than models"
            )
        if (np.diff(limits) <= 0.0).any() or not (limits > 0.0).all():
            raise InvalidInputError(f"until is {limits.tolist()}; expected increasing times > 0")
        for number, model in enumerate(models):
            if not isinstance(model, PosteriorMeanModel):
                raise DtypeError(f"models[{number}] is a {type(model).__name__}; expected a PosteriorMeanModel")
            if model.schedule != models[0].schedule:
                raise InvalidInputError(
                    f"models[{number}] has the schedule {model.schedule!r}; expected that of the first, "
                    f"{models[0].schedule!r}"
                )
        self.models, self.until = tuple(models), limits
        self.schedule = models[0].schedule

    def __repr__(self) -> str:
        return f"TimedModel({list(self.models)!r}, until={self.until.tolist()})"

    def at(self, t: float) -> Any:
        """The model that acts at time t."""
        return self.models[int(np.searchsorted(self.until, positive_time(t)))]

    def posterior_mean(self, x: ArrayLike, t: float) -> NDArray[Any]:
        return np.asarray(self.at(t).posterior_mean(x, t))

    def score(self, x: ArrayLike, t: float) -> NDArray[Any]:
        if self.overrides(TimedModel, "posterior_mean"):
            return super().score(x, t)
        return np.asarray(self.at(t).score(x, t))

    def drift(self, x: ArrayLike, t: float) -> NDArray[Any]:
        if self.overrides(TimedModel, "posterior_mean", "score"):
            return super().drift(x, t)
        return np.asarray(self.at(t).drift(x, t))

    def mode_derivatives(
        self, x: ArrayLike, t: float, shells: Any = range(7), *, diagonal: bool = False
    ) -> NDArray[Any]:
        """Those of the model that acts: exact where it has them exactly."""
        if self.overrides(TimedModel, "posterior_mean", "score", "drift"):
            return super().mode_derivatives(x, t, shells, diagonal=diagonal)
        return np.asarray(self.at(t).mode_derivatives(x, t, shells, diagonal=diagonal))

    def spectrum(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """Exact lambda_v at every wave vector, as of `PatchModel`; `InvalidInputError` where it is not known."""
        known = getattr(self.at(t), "spectrum", None)
        if known is None or self.overrides(TimedModel, "posterior_mean", "score", "drift"):
            acting = self.at(t) if known is None else self
            raise InvalidInputError(
                f"{type(acting).__name__} knows no spectrum; expected a model in closed form, or mode_derivatives"
            )
        return np.asarray(known(x, t))

    @property
    def Omega(self) -> float:
        """That of the model at the latest times."""
        latest: Any = self.models[-1]
        return float(latest.Omega)

    @property
    def critical_time(self) -> float:
        """That of the model at the latest times."""
        latest: Any = self.models[-1]
        return float(latest.critical_time)

    def describe(self) -> dict[str, Any]:
        return {
            "type": "TimedModel",
            "models": [model_identity(model) for model in self.models],
            "until": self.until.tolist(),
            "beta": self.schedule.name,
        }

    def arrays(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
        """None: `describe` names the models."""
        return {}

    def check_lattice(self, shape: tuple[int, int]) -> None:
        """Raise `InvalidInputError` unless all models can act on a lattice of this shape."""
        for model in self.models:
            check = getattr(model, "check_lattice", None)
            if check is not None:
                check(shape)
