"""The empirical score of M stored prototypes, which knows no locality (paper eqs. 1 and 6, Fig. 3 middle)."""

from hashlib import sha256
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from ..errors import DtypeError, InvalidInputError
from ..process import VPSchedule
from ..validation import floating_field, integer, positive_time, real_array
from .closed_form import ClosedFormModel

__all__ = ["EmpiricalModel", "stripe_prototypes"]


class EmpiricalModel(ClosedFormModel):
    r"""Posterior over M whole-lattice prototypes.

    .. math:: w_a \propto \pi_a \exp\Bigl(-\frac{|x - \alpha\mu_a|^2}{2\sigma^2}\Bigr), \qquad m = \sum_a w_a\mu_a

    The Jacobian of m is ``alpha/sigma^2`` times the posterior covariance of the prototypes: rank M, so derivatives
    along every mode cost M inner products.

    Parameters
    ----------
    prototypes
        Array (M, L1, L2) of finite float32 or float64 values.
    weights
        Array (M,) of positive prior weights, normalised on entry; uniform by default.
    schedule
        The forward process; ``VPSchedule()`` by default.
    """

    prototypes: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __init__(
        self, prototypes: ArrayLike, weights: ArrayLike | None = None, schedule: VPSchedule | None = None
    ) -> None:
        fields = floating_field(prototypes, "prototypes", minimum_ndim=3)
        if fields.ndim != 3:
            raise InvalidInputError(f"prototypes has shape {fields.shape}; expected (M, L1, L2)")
        prior = np.ones(len(fields)) if weights is None else real_array(weights, "weights")
        if prior.shape != (len(fields),):
            raise InvalidInputError(
                f"weights has shape {prior.shape}; expected ({len(fields)},), one entry a prototype"
            )
        if not ((prior > 0.0) & np.isfinite(prior)).all():
            at = int(np.argmin((prior > 0.0) & np.isfinite(prior)))
            raise InvalidInputError(f"weights[{at}] is {prior[at]}; expected positive finite weights")
        if schedule is not None and not isinstance(schedule, VPSchedule):
            raise DtypeError(f"schedule is a {type(schedule).__name__}; expected a VPSchedule")
        self.prototypes = fields.astype(np.float64)
        self.weights = prior / prior.sum()
        self.prototypes.setflags(write=False)
        self.weights.setflags(write=False)
        self.schedule = VPSchedule() if schedule is None else schedule
        self._flat = self.prototypes.reshape(len(fields), -1)
        self._squared_norms = np.einsum("ai,ai->a", self._flat, self._flat)

    def __repr__(self) -> str:
        count, height, width = self.prototypes.shape
        return f"EmpiricalModel({count} prototypes of {height}x{width}, {self.schedule!r})"

    @property
    def Omega(self) -> float:
        """Largest eigenvalue of the second moment ``sum_a w_a mu_a mu_a^T`` (eq. 6); prototypes assumed centred."""
        root = np.sqrt(self.weights)
        return float(np.linalg.eigvalsh(root[:, None] * (self._flat @ self._flat.T) * root)[-1])

    def describe(self) -> dict[str, Any]:
        return {
            "type": "EmpiricalModel",
            "prototypes": list(self.prototypes.shape),
            "digest": sha256(self.prototypes.tobytes() + self.weights.tobytes()).hexdigest(),
            "beta": self.schedule.name,
        }

    def arrays(self) -> dict[str, tuple[tuple[str, ...], NDArray[np.float64]]]:
        return {
            "prototype": (("prototype_index", "y", "x"), self.prototypes),
            "weight": (("prototype_index",), self.weights),
        }

    def check_lattice(self, shape: tuple[int, int]) -> None:
        if shape != self.prototypes.shape[1:]:
            height, width = self.prototypes.shape[1:]
            raise InvalidInputError(f"the lattice is {shape[0]}x{shape[1]}; expected the prototypes' {height}x{width}")

    def posterior_weights(self, x: ArrayLike, t: float) -> NDArray[np.float64]:
        """w_a for x (..., L1, L2), shape (..., M), float64."""
        field, batch = self._batch(x)
        with np.errstate(all="ignore"):
            return self._weights(batch, positive_time(t)).reshape(*field.shape[:-2], len(self.weights))

    def _weights(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        alpha, sigma2 = self.schedule.alpha(t), self.schedule.sigma2(t)
        # Field by field: the order of a product's sums may depend on how many there are.
        overlap = np.array([self._flat @ one for one in x.reshape(len(x), self._flat.shape[1])])
        overlap = overlap.reshape(len(x), len(self._flat))
        logits = np.log(self.weights) + (alpha / sigma2) * overlap - (alpha**2 / (2.0 * sigma2)) * self._squared_norms
        return np.asarray(softmax(logits, axis=-1))

    def _posterior_mean(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        return np.array([weights @ self._flat for weights in self._weights(x, t)]).reshape(x.shape)

    def _covariance(self, x: NDArray[np.float64], t: float, projections: NDArray[np.float64]) -> NDArray[np.float64]:
        """Posterior variance of the prototypes' projections (M, ...) on unit modes, (B, ...)."""
        weights = self._weights(x, t)
        mean = np.tensordot(weights, projections, axes=1)
        # Centred before squaring: the variance of a locked posterior would drown in its mean's rounding error.
        deviation = projections - mean[:, None]
        return np.asarray(np.einsum("ba,ba...->b...", weights, deviation**2))

    def _mode_overlaps(
        self, x: NDArray[np.float64], t: float, shells: NDArray[np.int64], diagonal: bool
    ) -> NDArray[np.float64]:
        spectrum = self._mode_projections()
        height, width = self.prototypes.shape[1:]
        rows, columns = shells % height, shells % width
        # cos is even, so a wave number past the half plane is read at its mirror image.
        folded = np.minimum(columns, width - columns)
        parts = [spectrum[:, rows, 0], spectrum[:, 0, folded]]
        if diagonal:
            mirrored = np.where(columns > width // 2, (-rows) % height, rows)
            parts.append(spectrum[:, mirrored, folded])
        return self._covariance(x, t, np.stack(parts, axis=1))

    def _spectrum_overlap(self, x: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        return np.asarray(self._covariance(x, t, self._mode_projections())[0])

    def _mode_projections(self) -> NDArray[np.float64]:
        """<mu_a, v_q> for the unit-norm cos modes of the half plane, (M, L1, L2 // 2 + 1)."""
        height, width = self.prototypes.shape[1:]
        rows, columns = np.arange(height), np.arange(width // 2 + 1)
        standing = ((2 * rows[:, None]) % height == 0) & ((2 * columns[None, :]) % width == 0)
        norm = np.sqrt(0.5 * height * width * (1.0 + standing))
        return np.asarray(scipy.fft.rfft2(self.prototypes).real / norm)


def stripe_prototypes(size: int = 48) -> NDArray[np.float64]:
    """The paper's two prototypes +-mu, mu(x, y) = sign(cos(2 pi/L (x + 2 y))) with sign(0) = +1, (2, L, L).

    The paper's L is 48; another size keeps one period across the lattice. Raises `InvalidInputError` for size < 1.
    """
    side = integer(size, "size", minimum=1)
    index = np.arange(side)
    # Integer phases: cos is >= 0 exactly where the phase lies within a quarter turn of 0.
    phase = (index[None, :] + 2 * index[:, None]) % side
    mu = np.where((4 * phase <= side) | (4 * phase >= 3 * side), 1.0, -1.0)
    return np.stack([mu, -mu])
