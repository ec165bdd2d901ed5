"""From a patch model's mathematics to kernel arguments."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..threads import get_threads
from . import cpu, dense
from .arguments import Counters, Law, Laws, Place, Records, Waves
from .plan import PatchPlan
from .pool import share

__all__ = ["ModeTables", "Part", "Stepper", "line_overlaps", "mode_overlaps", "posterior_mean", "response"]
__all__ += ["step_constants", "tile_constants"]

_DOUBLE = np.dtype(np.float64)

# A base-2 logit whose power, summed over units and times a centre pixel, is far from overflow and underflow.
_LARGEST_LOGIT = {"float32": 110.0, "float64": 900.0}
_EMPTY3 = np.empty((0, 0, 0))
_EMPTY4 = np.empty((0, 0, 0, 0))
_NO_WAVES = Waves(np.empty(0), np.empty(0), _EMPTY3, _EMPTY3)

# Rough costs on one thread, by which `share` judges whether other threads are worth waking: seconds a site and unit.
_STEP, _EVALUATION = 1e-9, 2e-9


@dataclass(frozen=True)
class Part:
    """What arrays (T, H, W) hold of a periodic lattice: the sites from ``origin`` on.

    A ``margin`` of (rows, columns) on every side belongs to other parts and stays out of sums over the lattice.
    """

    lattice: tuple[int, int]
    origin: tuple[int, int] = (0, 0)
    margin: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class ModeTables:
    """Tables for the mode sums of one lattice: 1 + cos(2 q i), sin(2 q i) and the patterns' Fourier coefficients.

    Directions: 0 varies along axis -2, 1 along axis -1, 2 (``diagonal``, square lattices only) along both.
    """

    patterns: NDArray[np.float64]
    shape: tuple[int, int]
    shells: NDArray[np.int64]
    diagonal: bool = False

    @property
    def directions(self) -> int:
        return 3 if self.diagonal else 2

    @cached_property
    def wave_numbers(self) -> NDArray[np.float64]:
        """|q| per coordinate step, (directions, shells)."""
        sides = np.array([self.shape[0], self.shape[1], self.shape[0]])[: self.directions]
        return np.asarray(2.0 * np.pi * self.shells / sides[:, None])

    @cached_property
    def squared_norms(self) -> NDArray[np.float64]:
        """sum_i cos(q i)^2 over the lattice, (directions, shells): N where 2q is a reciprocal vector, else N / 2."""
        sides = np.array([self.shape[0], self.shape[1], self.shape[0]])[: self.directions]
        commensurate = (2 * self.shells) % sides[:, None] == 0
        return np.asarray(0.5 * self.shape[0] * self.shape[1] * (1.0 + commensurate))

    def arrays(self, dtype: np.dtype[Any], extent: tuple[int, int], origin: tuple[int, int] = (0, 0)) -> Waves:
        """The tables as kernels take them, for arrays of that extent (H, W) and first site."""
        first = np.array([*origin, sum(origin)])[: self.directions]
        coordinates = first[:, None, None] + np.arange(sum(extent))
        phase = 2.0 * self.wave_numbers[:, :, None] * coordinates
        radius = self.patterns.shape[-1] // 2
        offset = np.arange(-radius, radius + 1)
        u, v = np.meshgrid(offset, offset, indexing="ij")
        offsets = np.stack([u, v, u + v])[: self.directions]
        pattern_phase = self.wave_numbers[:, :, None, None] * offsets[:, None]
        even = np.einsum("kuv,dnuv->dkn", self.patterns, np.cos(pattern_phase))
        odd = np.einsum("kuv,dnuv->dkn", self.patterns, np.sin(pattern_phase))
        tables = (1.0 + np.cos(phase)).ravel(), np.sin(phase).ravel(), even, odd
        return Waves(*(np.ascontiguousarray(table, dtype=dtype) for table in tables))


class Stepper:
    """The fused step on arrays (T, H, W) of one size, with its working space."""

    def __init__(self, plan: PatchPlan, tables: ModeTables, part: Part, extent: tuple[int, int], dtype: Any) -> None:
        self.plan = plan.cast(dtype)
        self._units, self._tables, self._place = plan, tables, Place(*part.lattice, *part.origin, *part.margin)
        self._waves = tables.arrays(dtype, extent, part.origin)
        self._scratch, self._noise = np.empty((0, 0), dtype=dtype), np.empty((0, 0), dtype=np.float32)

    def run(
        self,
        x: NDArray[Any],
        spare: NDArray[Any],
        counters: tuple[int, int, NDArray[np.uint32]],
        constants: tuple[NDArray[Any], ...],
        records: NDArray[np.int64],
        fields: NDArray[Any],
    ) -> NDArray[np.float64]:
        """Take ``len(records)`` steps from x, alternating between x and ``spare``, as `cpu.advance` says.

        Returns this part's share of ``sigma^2/alpha v^T (dm/dx) v`` of the recorded states, unit-norm modes v,
        (len(fields), T, n_shells, directions).
        """
        tables = self._tables
        bands = -(-x.shape[1] // cpu.BAND)
        sums = np.zeros((len(fields), len(x), bands, tables.directions, tables.shells.size))
        threads = get_threads()
        if len(self._scratch) < threads:
            self._scratch = _scratch_space(self._units, x.dtype)
            self._noise = np.empty((threads, cpu.NOISE_SIZE), dtype=np.float32)
        share(
            cpu.advance, x, spare, self._place, Counters(*counters), Laws(*constants), self.plan, self._waves,
            self._scratch, self._noise, Records(records, fields, sums),
            most=min(len(x) * bands, len(self._scratch)),
            seconds=_STEP * len(records) * x.size * len(self._units.patterns),
        )  # fmt: skip
        return np.moveaxis(sums.sum(axis=2) / tables.squared_norms, -2, -1)


def step_constants(
    plan: PatchPlan, alpha: NDArray[np.float64], sigma2: NDArray[np.float64], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """``slopes`` (times,) and ``biases`` (times, U) of the base-2 logits ``slope <p_k, y> + bias_k`` (eq. 36)."""
    slopes = np.log2(np.e) * alpha / sigma2
    return slopes.astype(dtype), plan.bias(alpha**2 / (2.0 * sigma2)).astype(dtype)


def tile_constants(
    plan: PatchPlan, alpha: NDArray[np.float64], sigma2: NDArray[np.float64], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], ...]:
    """``(slopes, exponents, factors, weights, bounds)`` of the tile kernels.

    Unit k has the logit ``slopes <p_k, y>`` and the prior ``weights = factors 2^exponents``, factors in [1, 2), all but
    slopes and bounds of the shape (times, U). Where no row of a neighbourhood sums up to more than ``bounds`` (times,)
    in absolute values, no weight 2^logit can leave the range of the precision; with a bound of -1 any might.
    """
    slopes, biases = step_constants(plan, alpha, sigma2, _DOUBLE)
    exponents = np.floor(biases)
    factors = np.exp2(biases - exponents).astype(dtype)
    weights = np.ldexp(factors, np.maximum(exponents, -1e4).astype(np.int64))
    centers = np.abs(plan.centers[plan.centers != 0.0])
    representable = bool(np.all((centers > 2.0**-10) & (centers < 2.0**10)))
    reach = max(plan.patterns.shape[-1] * np.abs(plan.patterns).max(), np.finfo(np.float32).tiny)
    room = _LARGEST_LOGIT[dtype.name] - np.abs(biases).max(axis=1)
    # Slopes are zero where alpha underflows.
    with np.errstate(divide="ignore"):
        bounds = np.where((room > 0.0) & representable, np.minimum(room / (slopes * reach), 1e30), -1.0)
    return slopes.astype(dtype), exponents.astype(dtype), factors, weights, bounds.astype(dtype)


def _scratch_space(plan: PatchPlan, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Working space of every thread that may work."""
    size = cpu.scratch_size(len(plan.patterns), len(plan.rows))
    return np.empty((get_threads(), size), dtype=dtype)


def posterior_mean(plan: PatchPlan, alpha: float, sigma2: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """m (B, L1, L2) of eq. 38 for x (B, L1, L2), in float64."""
    if dense.suits(plan):
        return dense.posterior_mean(plan, _law(plan, alpha, sigma2), x)
    mean = np.empty_like(x)
    _evaluate(plan, _law(plan, alpha, sigma2), x, _NO_WAVES, mean, _EMPTY4, _EMPTY4)
    return mean


def response(
    plan: PatchPlan, alpha: float, sigma2: float, x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fields H (B, U, L1, L2) and patterns p (U, P, P) with ``dm_i/dx_{i+u} = alpha/sigma^2 sum_k H_k(i) p_k(u)``."""
    if dense.suits(plan):
        size = plan.patterns.shape[-1]
        windows = np.eye(size * size).reshape(-1, size, size)
        return dense.window_response(plan, _law(plan, alpha, sigma2), x), windows
    fields = np.empty((x.shape[0], len(plan.patterns), *x.shape[1:]))
    _evaluate(plan, _law(plan, alpha, sigma2), x, _NO_WAVES, _EMPTY3, fields, _EMPTY4)
    return fields, plan.patterns


def mode_overlaps(
    plan: PatchPlan,
    alpha: float,
    sigma2: float,
    x: NDArray[np.float64],
    shells: NDArray[np.int64],
    diagonal: bool,
) -> NDArray[np.float64]:
    """``sigma^2/alpha v^T (dm/dx) v`` for the unit-norm modes, (B, directions, shells), in float64."""
    shape = (x.shape[-2], x.shape[-1])
    if dense.suits(plan):
        fields, patterns = response(plan, alpha, sigma2, x)
        return line_overlaps(ModeTables(patterns, shape, shells, diagonal), fields)
    tables = ModeTables(plan.patterns, shape, shells, diagonal)
    sums = np.zeros((x.shape[0], -(-shape[0] // cpu.BAND), tables.directions, shells.size))
    _evaluate(plan, _law(plan, alpha, sigma2), x, tables.arrays(_DOUBLE, shape), _EMPTY3, _EMPTY4, sums)
    return np.asarray(sums.sum(axis=1) / tables.squared_norms)


def _evaluate(
    plan: PatchPlan,
    law: Law,
    x: NDArray[np.float64],
    waves: Waves,
    mean: NDArray[np.float64],
    response: NDArray[np.float64],
    projections: NDArray[np.float64],
) -> None:
    """`cpu.evaluate` on as many threads as that is worth."""
    scratch, bands = _scratch_space(plan, _DOUBLE), -(-x.shape[1] // cpu.BAND)
    share(
        cpu.evaluate, x, law, plan.cast(_DOUBLE), waves, scratch, mean, response, projections,
        most=min(len(x) * bands, len(scratch)), seconds=_EVALUATION * x.size * len(plan.patterns),
    )  # fmt: skip


def _law(plan: PatchPlan, alpha: float, sigma2: float) -> Law:
    """`tile_constants` of one time."""
    return Law(*(constant[0] for constant in tile_constants(plan, np.array([alpha]), np.array([sigma2]), _DOUBLE)))


def line_overlaps(tables: ModeTables, fields: NDArray[Any]) -> NDArray[np.float64]:
    """`mode_overlaps` from whole response fields (B, U, L1, L2)."""
    risen, sine, even, odd = tables.arrays(_DOUBLE, tables.shape)
    risen, sine = (table.reshape(tables.directions, tables.shells.size, -1) for table in (risen, sine))
    lines = [fields.sum(axis=-1, dtype=np.float64), fields.sum(axis=-2, dtype=np.float64)]
    if tables.diagonal:
        sheared = [np.roll(fields[..., i, :], i, axis=-1) for i in range(tables.shape[0])]
        lines.append(np.sum(sheared, axis=0))
    overlaps = [
        0.5
        * (
            np.einsum("kn,bks,ns->bn", even[d], line, risen[d, :, : line.shape[-1]])
            - np.einsum("kn,bks,ns->bn", odd[d], line, sine[d, :, : line.shape[-1]])
        )
        for d, line in enumerate(lines)
    ]
    return np.asarray(np.stack(overlaps, axis=1) / tables.squared_norms)
