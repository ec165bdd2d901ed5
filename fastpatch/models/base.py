"""What a model is, and the base class that makes one of a posterior mean."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.modes import directional_derivatives, distinct_modes, finite_difference_step
from ..errors import InvalidInputError
from ..frozen import FrozenArrays
from ..process import VPSchedule
from ..validation import floating_field, positive_time, shell_numbers

__all__ = ["Model", "ModelWithModes", "PosteriorMeanModel", "like_states"]


@runtime_checkable
class Model(Protocol):
    r"""Anything with a score and a reverse drift on fields (..., L1, L2) at a scalar time t > 0.

    ``score(x, t)`` is :math:`s = \nabla\log p_t(x)`. ``drift(x, t)`` is :math:`b = \beta(-x/2 - s)`, the drift of the
    *reverse* run written with forward time: runs go down the time grid with dt < 0, so that a step adds ``dt b``, and
    a negative derivative of b along a mode means that the mode grows. Both return arrays of the shape of ``x``, which
    is lent read-only.
    """

    schedule: VPSchedule

    def score(self, x: Any, t: float) -> Any: ...

    def drift(self, x: Any, t: float) -> Any: ...


@runtime_checkable
class ModelWithModes(Model, Protocol):
    """A model that knows its drift's directional derivatives along Fourier modes."""

    def mode_derivatives(self, x: Any, t: float, shells: Any = ..., *, diagonal: bool = ...) -> Any: ...


class PosteriorMeanModel(FrozenArrays):
    r"""Score, drift and derivatives from the posterior mean :math:`m(x, t) = E[x_0 | x]`, all that a subclass defines.

    .. math::
        s = \frac{\alpha m - x}{\sigma^2}, \qquad b = \beta\Bigl(-\frac{x}{2} - s\Bigr), \qquad
        v^\top\frac{\partial b}{\partial x}v = \beta\Bigl[-\frac12 + \frac1{\sigma^2}
            - \frac{\alpha}{\sigma^2}\, v^\top\frac{\partial m}{\partial x}v\Bigr], \quad |v| = 1

    (eqs. 39, 40, 46). b is the drift of the reverse run in forward time, see `Model`. ::

        class Flat(fp.PosteriorMeanModel):
            def posterior_mean(self, x, t):
                return np.zeros_like(x)

    ``posterior_mean(x, t)`` is given float64 arrays (..., L1, L2) by the other methods, and returns their shape. A
    subclass may also define ``mean_response(x, t, v)``, the exact :math:`(\partial m/\partial x)\,v`
    of fields (B, L1, L2) along one mode v (L1, L2): without it derivatives are central differences. What it overrides
    is what runs: a response that is inherited beside another posterior mean, or that a score or drift of one's own does
    not follow from, is not used.

    Attributes
    ----------
    schedule
        The forward process, ``VPSchedule()`` unless the subclass sets another.
    parameters : dict, optional
        JSON-ready values that tell this model from others of its class, for provenance and for resuming; by default a
        fingerprint of attributes and code takes their place.

    Methods raise `DtypeError` for fields of another dtype than float32 or float64, and `InvalidInputError` for NaN or
    infinite entries, ``t`` outside (0, inf) or so small that a result leaves the range of its dtype, or a posterior
    mean of another shape. NumPy's ``errstate`` of the caller does not matter. Results have the dtype of ``x`` and
    are computed in float64, unless a model says otherwise.
    """

    schedule: VPSchedule = VPSchedule()

    def overrides(self, home: type, *names: str) -> bool:
        """Whether any of these attributes is not the one that the class ``home`` has."""
        return any(name in vars(self) or getattr(type(self), name) is not getattr(home, name) for name in names)

    def posterior_mean(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """m(x, t), same shape and dtype as ``x`` (..., L1, L2)."""
        raise NotImplementedError(f"{type(self).__name__} defines no posterior_mean(x, t)")

    @np.errstate(all="ignore")  # what overflows is found in the result
    def score(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """Score (eq. 39), same shape and dtype as ``x``."""
        field, time = floating_field(x), positive_time(t)
        wide = field.astype(self._precision(field.dtype))
        mean = like_states(self.posterior_mean(wide, time), wide, "posterior_mean")
        alpha, sigma2 = self.schedule.alpha(time), self.schedule.sigma2(time)
        return within_range((alpha * mean - wide) / sigma2, field.dtype, t)

    @np.errstate(all="ignore")
    def drift(self, x: ArrayLike, t: float) -> NDArray[Any]:
        """Reverse drift b (eq. 40, times beta(t)), same shape and dtype as ``x``; time runs backwards along it."""
        field, time = floating_field(x), positive_time(t)
        wide = field.astype(self._precision(field.dtype))
        score = like_states(self.score(wide, time), wide, "score")
        return within_range(self.schedule.rate(time) * (-0.5 * wide - score), field.dtype, t)

    def mode_derivatives(
        self, x: ArrayLike, t: float, shells: Any = range(7), *, diagonal: bool = False
    ) -> NDArray[Any]:
        """lambda_v = v^T (db/dx) v along the unit-norm modes cos(n k_min i), (..., n_shells, directions).

        Direction 0 varies along axis -2, direction 1 along axis -1, each with its own k_min = 2 pi / L; with
        ``diagonal`` a direction 2, cos(n k_min (i + j)), follows (square lattices only). A shell n > L/2 is the
        alias of shell L - n. Exact with a ``mean_response``; otherwise central differences of the drift with the step
        max(5e-5, 1e-3 sigma^2) (App. C.8), computed in float64.
        """
        field, time = floating_field(x), positive_time(t)
        wide = field.astype(np.float64)
        shape = (field.shape[-2], field.shape[-1])
        modes, position = distinct_modes(shape, shell_numbers(shells), diagonal)
        response: Any = getattr(self, "mean_response", None)
        if response is None or not self._follows_from_response():
            step = finite_difference_step(self.schedule.sigma2(time))
            derivatives = directional_derivatives(lambda y: self.drift(y, time), wide, modes, step)
        else:
            batch = wide.reshape(-1, *shape)
            products = [like_states(response(batch, time, v), batch, "mean_response") for v in modes]
            along = np.stack([np.einsum("bij,ij->b", p, v) for p, v in zip(products, modes, strict=True)], axis=-1)
            alpha, sigma2 = self.schedule.alpha(time), self.schedule.sigma2(time)
            derivatives = self.schedule.rate(time) * (-0.5 + 1.0 / sigma2 - alpha / sigma2 * along)
            derivatives = derivatives.reshape(*field.shape[:-2], len(modes))
        return np.asarray(derivatives[..., position], dtype=field.dtype)

    def _follows_from_response(self) -> bool:
        """Whether the drift is that of the posterior mean to which ``mean_response`` belongs."""
        # The instance itself stands before its classes.
        homes = [vars(self), *map(vars, type(self).__mro__)]
        response, mean = (
            next((at for at, home in enumerate(homes) if name in home), -1)
            for name in ("mean_response", "posterior_mean")
        )
        return response <= mean and not self.overrides(PosteriorMeanModel, "score", "drift")

    def _precision(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """What fields of a dtype are computed in."""
        return np.dtype(np.float64)


def within_range(values: Any, dtype: np.dtype[Any], t: Any) -> NDArray[Any]:
    """``values`` in a dtype; `InvalidInputError` where they leave its range, as the score does at tiny t."""
    found = np.array(values, dtype=dtype)
    if not np.isfinite(found).all():
        raise InvalidInputError(f"t is {t}, at which values leave the range of {dtype}; expected a larger t")
    return found


def like_states(value: Any, x: NDArray[Any], name: str) -> NDArray[Any]:
    """What a model returned for fields ``x``, in their precision; `InvalidInputError` if it has another shape."""
    found = np.asarray(value, dtype=x.dtype)
    if found.shape != x.shape:
        raise InvalidInputError(f"{name}(x, t) has shape {found.shape}; expected that of x, {x.shape}")
    return found
