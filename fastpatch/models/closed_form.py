"""What models with a closed form share: exact derivatives, by fast paths that respect what a subclass overrides."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..validation import floating_field, positive_time, shell_numbers
from .base import PosteriorMeanModel, within_range

__all__ = ["ClosedFormModel"]


class ClosedFormModel(PosteriorMeanModel, ABC):
    """A `PosteriorMeanModel` whose posterior mean and response are known in closed form.

    Where a subclass overrides one of the public methods, those that build on it go by way of it: derivatives of an
    overridden drift are central differences of that drift.

    Methods raise what those of `PosteriorMeanModel` raise, and `InvalidInputError` for a lattice that does not fit
    the model.
    """

    @np.errstate(all="ignore")
    def posterior_mean(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """m(x, t), same shape and dtype as ``x`` (..., L1, L2)."""
        field, batch = self._batch(x)
        return within_range(self._posterior_mean(batch, positive_time(t)).reshape(field.shape), field.dtype, t)

    @np.errstate(all="ignore")
    def score(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """Score (eq. 39), same shape and dtype as ``x``."""
        if self.overrides(ClosedFormModel, "posterior_mean"):
            return super().score(x, t)
        field, batch = self._batch(x)
        return within_range(self._score(batch, positive_time(t)).reshape(field.shape), field.dtype, t)

    @np.errstate(all="ignore")
    def mode_derivatives(
        self, x: ArrayLike, t: float, shells: Any = range(7), *, diagonal: bool = False
    ) -> NDArray[Any]:
        """Exact lambda_v = v^T (db/dx) v along the unit-norm modes cos(n k_min i), (..., n_shells, directions).

        Direction 0 varies along axis -2, direction 1 along axis -1, each with its own k_min = 2 pi / L; with
        ``diagonal`` a direction 2, cos(n k_min (i + j)), follows (square lattices only). A shell n > L/2 is the
        alias of shell L - n.
        """
        if self.overrides(ClosedFormModel, "posterior_mean", "score", "drift"):
            return super().mode_derivatives(x, t, shells, diagonal=diagonal)
        field, batch = self._batch(x)
        numbers = shell_numbers(shells)
        shape = (field.shape[-2], field.shape[-1])
        if diagonal and shape[0] != shape[1]:
            raise InvalidInputError(f"x has lattice shape {shape}; expected a square lattice for diagonal modes")
        overlap = self._mode_overlaps(batch, positive_time(t), numbers, diagonal)
        derivative = np.moveaxis(self.derivative_of_overlap(overlap, t), -2, -1)
        return within_range(derivative.reshape(*field.shape[:-2], *derivative.shape[1:]), field.dtype, t)

    @np.errstate(all="ignore")
    def spectrum(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """Exact lambda_v for the unit-norm cos(q . i) at every wave vector, (..., L1, L2 // 2 + 1).

        Wave vectors are those of ``numpy.fft.rfft2``: entry [a, b] is q = 2 pi (a / L1, b / L2); cos is even, so the
        half plane holds them all.
        """
        self._refuse_overridden("spectrum", "posterior_mean", "score", "drift")
        field, batch = self._batch(x)
        time = positive_time(t)
        # One field at a time: the intermediate response fields are many times larger than the result.
        overlap = np.empty((len(batch), field.shape[-2], field.shape[-1] // 2 + 1))
        for index, one in enumerate(batch):
            overlap[index] = self._spectrum_overlap(one[None], time)
        derivative = self.derivative_of_overlap(overlap, time)
        return within_range(derivative.reshape(*field.shape[:-2], *derivative.shape[1:]), field.dtype, t)

    def derivative_of_overlap(self, overlap: NDArray[np.float64], t: ArrayLike) -> NDArray[np.float64]:
        """lambda from ``overlap = sigma^2/alpha v^T (dm/dx) v`` at times t, which broadcast against it."""
        sigma2 = self.schedule.sigma2(t)
        gain = np.square(self.schedule.alpha(t) / sigma2)
        return np.asarray(self.schedule.rate(t) * (-0.5 + 1.0 / sigma2 - gain * overlap))

    @property
    def critical_time(self) -> float:
        """Tree-level critical time of the score, where ``sigma^2 = alpha^2 Omega`` (eqs. 27-29)."""
        return self.schedule.time_of(float(np.log1p(self.Omega)))

    @property
    @abstractmethod
    def Omega(self) -> float:
        """|Omega|, by which the data term at x = 0 multiplies the mode that softens first."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """JSON-ready identity of the model, for provenance."""

    @abstractmethod
    def arrays(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
        """The arrays that define the model, as name -> (dimension names, values), for result files."""

    @abstractmethod
    def check_lattice(self, shape: tuple[int, int]) -> None:
        """Raise `InvalidInputError` unless the model can act on a lattice of this shape."""

    @abstractmethod
    def _posterior_mean(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        """m for x (B, L1, L2)."""

    @abstractmethod
    def _mode_overlaps(
        self, x: NDArray[np.float64], t: float, shells: NDArray[np.int64], diagonal: bool
    ) -> NDArray[np.float64]:
        """sigma^2/alpha v^T (dm/dx) v along the axis modes, (B, directions, shells)."""

    @abstractmethod
    def _spectrum_overlap(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        """The same at every wave vector for x (1, L1, L2), (L1, L2 // 2 + 1)."""

    def _score(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        alpha, sigma2 = self.schedule.alpha(t), self.schedule.sigma2(t)
        return np.asarray((alpha * self._posterior_mean(x, t) - x) / sigma2)

    def _refuse_overridden(self, what: str, *names: str) -> None:
        """Raise `InvalidInputError` for ``what``, which is of the closed form, where one of these is overridden."""
        for name in names:
            if self.overrides(ClosedFormModel, name):
                raise InvalidInputError(
                    f"{type(self).__name__} overrides {name}, and its {what} is not known; "
                    "expected a model in closed form, or mode_derivatives"
                )

    def _batch(self, x: ArrayLike) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """The validated field and its (B, L1, L2) view or copy in the precision that the model computes in."""
        field = floating_field(x)
        self.check_lattice((field.shape[-2], field.shape[-1]))
        precision = self._precision(field.dtype)
        return field, np.ascontiguousarray(field, dtype=precision).reshape(-1, *field.shape[-2:])
