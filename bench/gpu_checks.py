"""What a GPU computes, held against the CPU: each check returns what it found, or raises `BenchmarkError`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastpatch as fp
from bench.cases import engine_at, grid_index, patch_model
from bench.console import BenchmarkError
from fastpatch.noise import standard_normals
from fastpatch.runs.engines.base import observe
from fastpatch.runs.solvers import EulerMaruyama

__all__ = ["CHECKS"]

# Early, critical, late, at the end: each takes another way through the CPU's kernels.
_TIMES = (30.0, 3.26, 0.3, 0.002)

# Roundings of each term of a step, and of the logits, which the posterior passes on: both are at most of this size.
_ROUNDINGS = 4.0


def _field(shape: tuple[int, int, int], t: float, dtype: str) -> NDArray[Any]:
    """A smooth pattern under noise, as wide as the forward process has it at time t."""
    alpha, sigma = np.exp(-t / 2.0), np.sqrt(-np.expm1(-t))
    rows, columns = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    pattern = np.sign(np.cos(0.3 * rows + 0.2 * columns) + 0.1)
    field: NDArray[Any] = alpha * pattern + sigma * standard_normals(shape, seed=7, dtype=np.float64)
    return field.astype(dtype)


def _both(x: NDArray[Any], k: int, steps: int, records: int = 0, seed: int = 0) -> list[tuple[Any, Any, Any]]:
    """(states, recorded states, derivatives) of the GPU and of the CPU after some steps from grid index k."""
    found = []
    for backend in ("cuda", "cpu"):
        engine = engine_at(patch_model(), x, k, backend, seed)
        numbers = np.full(steps, -1)
        numbers[:records] = np.arange(records)
        fields = np.empty((records, *x.shape), dtype=x.dtype)
        derivatives = engine.advance(numbers, fields)
        found.append((engine.x, fields, derivatives))
    return found


def _require(holds: bool, sentence: str) -> str:
    if not holds:
        raise BenchmarkError(sentence)
    return sentence


def noise(side: int) -> str:
    """Without a data term a step is linear x + kick eta, each product rounded once: other bits would be the noise's."""
    model = fp.PatchModel(fp.PatchDictionary(np.zeros((1, 1, 1))))
    x = standard_normals((2, side, side + 3), seed=1)
    states = []
    for backend in ("cuda", "cpu"):
        engine = engine_at(model, x, 1990, backend, seed=2**63 + 5)
        engine.advance(np.full(2, -1), np.empty((0, *x.shape), dtype=x.dtype))
        states.append(np.asarray(engine.x))
    different = int(np.count_nonzero(states[0] != states[1]))
    return _require(different == 0, f"{different} of {x.size} normals differ from the CPU's; expected none")


def one_step(side: int) -> str:
    """Every step within the roundings of its terms: the GPU's exponential and reciprocal are its own."""
    worst = 0.0
    for dtype in ("float32", "float64"):
        for t in _TIMES:
            k = grid_index(t)
            x = _field((2, side, side), t, dtype)
            (gpu, _, _), (cpu, _, _) = _both(x, k, 1)
            linear, pull, kick = EulerMaruyama().coefficients(patch_model().schedule, fp.log_time_grid()[k : k + 2])[0]
            alpha, sigma2 = np.exp(-t / 2.0), -np.expm1(-t)
            # A logit's rounding error moves the mean by itself times the logit's size, 25 pixels of |x| at most.
            logits = alpha / sigma2 * 25.0 * np.abs(x).max()
            size = abs(linear) * np.abs(x).max() + abs(pull) * (1.0 + logits) + 6.7 * kick
            worst = max(worst, float(np.abs(gpu - cpu).max() / (np.finfo(dtype).eps * size)))
    return _require(worst <= _ROUNDINGS, f"one step differs by {worst:.2g} roundings; expected at most {_ROUNDINGS:g}")


def mode_sums(side: int) -> str:
    """Recorded derivatives along the modes, relative to the largest terms of their sums."""
    worst = 0.0
    for t in _TIMES[:3]:
        x = _field((2, side, side), t, "float32")
        (_, gpu_states, gpu), (_, cpu_states, cpu) = _both(x, grid_index(t), 2, records=1)
        if not np.array_equal(gpu_states, cpu_states):
            raise BenchmarkError("the recorded state is not the one that the step began with; expected a copy of it")
        alpha, sigma2 = np.exp(-t / 2.0), -np.expm1(-t)
        size = 1.0 / sigma2 + 25.0 * (alpha / sigma2) ** 2
        worst = max(worst, float(np.abs(gpu - cpu).max() / (np.finfo(np.float32).eps * size)))
    return _require(
        worst <= _ROUNDINGS, f"derivatives differ by {worst:.2g} roundings; expected {_ROUNDINGS:g} at most"
    )


def observables(side: int) -> str:
    """Correlation lengths, integers behind them, bit for bit; means to rounding in float64."""
    x = np.concatenate([_field((1, side, side), t, "float32") for t in _TIMES])
    engine = engine_at(patch_model(), x, 0, "cuda")
    lengths, means = engine.observe(engine.present(), [0])
    expected, expected_means = observe(x[None])
    different = int(np.count_nonzero(lengths != expected))
    off = float(np.abs(means - expected_means).max())
    sentence = f"{different} of {lengths.size} lengths differ, means by {off:.1e}; expected none and 1e-13 at most"
    return _require(different == 0 and off < 1e-13, sentence)


def statistics(side: int) -> str:
    """A run of another seed: lengths and derivatives agree within five and a half standard errors at every record."""
    count, steps, k = (128, 400, 0) if side > 16 else (4, 2, 1300)
    runs = []
    for backend, seed in (("cuda", 1), ("cpu", 2)):
        x = standard_normals((count, side, side), seed=seed, step=7)
        engine = engine_at(patch_model(), x, k, backend, seed)
        engine.advance(np.full(steps * 4, -1), np.empty((0, *x.shape), dtype=x.dtype))
        lengths, means = observe(np.asarray(engine.x)[None])
        runs.append((lengths[0], np.abs(means[0]), engine.measure().mean(axis=(-2, -1))))
    worst = 0.0
    for gpu, cpu in zip(*runs, strict=True):
        error = np.sqrt((gpu.var(ddof=1) + cpu.var(ddof=1)) / count)
        worst = max(worst, float(abs(gpu.mean() - cpu.mean()) / max(error, 1e-12)))
    return _require(worst < 5.5, f"means over {count} trajectories differ by {worst:.1f} standard errors; expected 5.5")


# By name: the check, and the side of the lattice it is made on, on a GPU and in the simulator.
CHECKS: dict[str, tuple[Callable[[int], str], int, int]] = {
    "noise, bit for bit": (noise, 1024, 6),
    "one step, to rounding": (one_step, 512, 6),
    "one step of a large lattice": (one_step, 4096, 7),
    "mode sums": (mode_sums, 80, 6),
    "observables": (observables, 512, 9),
    "statistics of a run": (statistics, 80, 6),
}
