"""A model from a score function."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DtypeError
from ..fingerprints import fingerprint
from ..process import VPSchedule
from ..validation import floating_field, positive_time
from .base import PosteriorMeanModel, like_states

__all__ = ["ScoreModel", "from_score"]


def from_score(score: Callable[[NDArray[Any], float], ArrayLike], schedule: VPSchedule | None = None) -> "ScoreModel":
    """The model whose score is ``score(x, t)``, a function of fields (..., L1, L2) and a time that returns their shape.

    Drift, posterior mean and derivatives (central differences) follow. That it is the score of ``schedule``,
    ``VPSchedule()`` by default, is not checked. Raises `DtypeError` for anything but a callable and a schedule.
    """
    return ScoreModel(score, schedule)


class ScoreModel(PosteriorMeanModel):
    """What `from_score` makes; the score is given copies of the dtype of the fields, read-only."""

    def __init__(self, score: Callable[[NDArray[Any], float], ArrayLike], schedule: VPSchedule | None = None) -> None:
        if not callable(score):
            raise DtypeError(f"score is a {type(score).__name__}; expected a function score(x, t)")
        if schedule is not None and not isinstance(schedule, VPSchedule):
            raise DtypeError(f"schedule is a {type(schedule).__name__}; expected a VPSchedule")
        self.function = score
        self.schedule = VPSchedule() if schedule is None else schedule

    def __repr__(self) -> str:
        return f"ScoreModel({_name(self.function)}, {self.schedule!r})"

    def score(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """Score, same shape and dtype as ``x`` (..., L1, L2)."""
        field, time = floating_field(x), positive_time(t)
        lent = field.copy()
        lent.setflags(write=False)
        return like_states(self.function(lent, time), field, "score")

    def posterior_mean(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """m = (x + sigma^2 s) / alpha, same shape and dtype as ``x``; inexact where alpha underflows."""
        field, time = floating_field(x), positive_time(t)
        wide = field.astype(np.float64)
        score = like_states(self.score(wide, time), wide, "score")
        alpha, sigma2 = self.schedule.alpha(time), self.schedule.sigma2(time)
        return np.asarray((wide + sigma2 * score) / alpha, dtype=field.dtype)

    def describe(self) -> dict[str, Any]:
        """JSON-ready identity of the model, in which another function of the same name is another one."""
        return {
            "type": "ScoreModel",
            "score": _name(self.function),
            "fingerprint": fingerprint(self.function),
            "beta": self.schedule.name,
        }


def _name(function: object) -> str:
    home = getattr(function, "__module__", type(function).__module__)
    return f"{home}.{getattr(function, '__qualname__', type(function).__qualname__)}"
