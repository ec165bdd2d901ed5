r"""The closure's equations in z and log(S / sigma^2), and the zero of lambda_0 along their solution."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import RK45
from scipy.optimize import brentq

from ..errors import InvalidInputError
from ._gaussian_response import Response

_LARGEST_LOG_RATIO = 100.0
# How much larger the tolerance of coarse steps is.
_COARSER = 30.0
# In log z, beside what the tolerance sets.
_LARGEST_STEP = 1.0
# Integrals of beta between which the critical time is sought.
_FIRST_RATE, _LAST_RATE = 20.0, 1e-3
# The largest z g for which S is that of white noise. What it neglects is forgotten: the zero moves by some 1e-8.
_NEGLIGIBLE = 1e-4
# Integral of beta and z g from which the zero in white noise is sought: z = 1e-3, or less where patches of more than 50
# sites add up. It takes z g of about a half.
_FIRST_WHITE_RATE, _FIRST_WHITE_GAIN = 7.0, 0.05


@dataclass(frozen=True, eq=False)
class State:
    """A point of the solution: y holds log(S / sigma^2) of every mode, then nu = alpha mu / sigma^2."""

    response: Response
    z: float
    y: NDArray[np.float64]

    @property
    def sigma2(self) -> float:
        return 1.0 / (1.0 + self.z)

    @property
    def rows(self) -> NDArray[np.float64]:
        return self.y.reshape(-1, self.response.modes + 1)

    @property
    def log_ratio(self) -> NDArray[np.float64]:
        # A solution stays far inside; a step that is tried and rejected may not.
        return np.clip(self.rows[:, :-1], -_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)

    @property
    def S(self) -> NDArray[np.float64]:
        return np.asarray(self.sigma2 * np.exp(self.log_ratio))

    @property
    def mean(self) -> NDArray[np.float64]:
        # sigma^2 / alpha = 1 / sqrt(z (1 + z))
        return np.asarray(self.rows[:, -1] / math.sqrt(self.z * (1.0 + self.z)))

    def averages(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.response(self.S, self.mean, self.z)

    def slope(self) -> NDArray[np.float64]:
        gain, posterior = self.averages()
        growth = np.expm1(-self.log_ratio) + 2.0 * self.z * gain
        return np.concatenate([growth, (self.z * posterior)[:, None]], axis=1).ravel()

    def dispersion(self) -> NDArray[np.float64]:
        """lambda(k) / beta, (R, modes)."""
        return np.asarray(-0.5 + (1.0 + self.z) * (1.0 - self.z * self.averages()[0]))


def steps(
    response: Response, z_first: float, z_last: float, tolerance: float, coarse: bool = False
) -> Iterator[tuple[float, float, Any]]:
    """Intervals of log z and the solution on each, from white noise at ``z_first`` on.

    ``coarse`` steps, from which the error of the others is told, are those of a larger tolerance and up to twice as
    long.
    """
    start = np.full((response.replicates, response.modes + 1), math.log1p(z_first))
    start[:, -1] = 0.0
    allowed = tolerance * (_COARSER if coarse else 1.0)
    solver = RK45(
        lambda log_z, y: State(response, math.exp(log_z), y).slope(),
        math.log(z_first), start.ravel(), math.log(z_last),
        max_step=_LARGEST_STEP * (2.0 if coarse else 1.0), rtol=allowed, atol=allowed,
    )  # fmt: skip
    while solver.status == "running":
        problem = solver.step()
        if solver.status == "failed":
            raise InvalidInputError(f"the closure cannot be solved beyond z = {math.exp(solver.t):g} ({problem})")
        yield solver.t_old, solver.t, solver.dense_output()


def crossings_of(response: Response, tolerance: float, coarse: bool = False) -> NDArray[np.float64]:
    """The integral of beta at which lambda_0 first vanishes, by replicate; nan where it does not."""
    crossings, before = np.full(response.replicates, np.nan), np.full(response.replicates, np.inf)
    first, last = 1.0 / math.expm1(_FIRST_RATE), 1.0 / math.expm1(_LAST_RATE)
    first = max(first, _z_of_gain(response, _NEGLIGIBLE))
    for left, right, solution in steps(response, first, last, tolerance, coarse):
        before = note_crossings(response, left, right, solution, before, crossings)
        if np.isfinite(crossings).all():
            break
    return np.asarray(np.log1p(np.exp(-crossings)))


def _z_of_gain(response: Response, gain: float) -> float:
    """The z at which z g of pure noise reaches ``gain``, or less."""
    ones, zeros = np.ones((response.replicates, response.modes)), np.zeros(response.replicates)
    white, _ = response(ones, zeros, 1.0 / math.expm1(_FIRST_RATE))
    return gain / (1.0 + float(np.abs(white).max()))


def white_crossings(response: Response) -> NDArray[np.float64]:
    """The integral of beta at which lambda_0 of white noise first vanishes, by replicate; nan where it does not."""

    def zero_mode(log_z: float) -> NDArray[np.float64]:
        z = math.exp(log_z)
        white = np.full((response.replicates, response.modes + 1), math.log1p(z))
        white[:, -1] = 0.0
        return State(response, z, white.ravel()).dispersion()[:, 0]

    start = min(-_FIRST_WHITE_RATE, math.log(_z_of_gain(response, _FIRST_WHITE_GAIN)))
    grid = np.arange(start, -math.log(math.expm1(_LAST_RATE)), math.log(1.3))
    found = np.full(response.replicates, np.nan)
    before = zero_mode(grid[0])
    for left, right in itertools.pairwise(grid):
        after = zero_mode(right)
        for row in np.flatnonzero(np.isnan(found) & (before > 0.0) & (after <= 0.0)).tolist():
            found[row] = brentq(lambda log_z, row=row: float(zero_mode(log_z)[row]), left, right, xtol=1e-4)
        if np.isfinite(found).all():
            break
        before = after
    return np.asarray(np.log1p(np.exp(-found)))


def note_crossings(
    response: Response,
    left: float,
    right: float,
    solution: Any,
    before: NDArray[np.float64],
    crossings: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Note in ``crossings`` the log z at which lambda_0 turns negative between both; lambda_0 at the right end."""
    after = State(response, math.exp(right), solution(right)).dispersion()[:, 0]
    for row in np.flatnonzero(np.isnan(crossings) & (before > 0.0) & (after <= 0.0)).tolist():

        def zero_mode(log_z: float, row: int = row) -> float:
            return float(State(response, math.exp(log_z), solution(log_z)).dispersion()[row, 0])

        crossings[row] = brentq(zero_mode, left, right, xtol=1e-7)
    return np.asarray(after)
