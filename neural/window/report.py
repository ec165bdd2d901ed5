"""What the trial of docs/window.md says: gains of all intervals, shares of the best, with bootstrap intervals."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...analysis import correlation_length, fastest_growth
from ...analysis.statistics import standard_error
from ..classifiers.base import Classifier
from .measured import GuidanceWindow
from .trial import Block, StepErrors, TrialSettings

__all__ = ["fastest_growth_of_images", "frechet_distance", "trial_report", "trial_table"]

_RESAMPLES = 500
_METRICS = ("logit", "frechet", "accuracy", "accuracy of the second classifier")

Metric = Callable[[NDArray[np.float32], NDArray[np.int64]], float]


def frechet_distance(samples: ArrayLike, mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    r"""Of the Gaussians with the moments of ``samples`` (n, K) and with those given, squared (Heusel et al., 2017).

    .. math:: |\mu_1 - \mu_2|^2 + \mathrm{tr}\bigl(C_1 + C_2 - 2 (C_1 C_2)^{1/2}\bigr)

    Biased upwards by few samples, alike for all sets of the same number.
    """
    values = np.asarray(samples, dtype=np.float64)
    own = np.cov(values, rowvar=False)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(eigenvalues, 0.0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ own @ root)
    distance = np.square(values.mean(axis=0) - mean).sum() + np.trace(own) + np.trace(covariance)
    return float(distance - 2.0 * np.sqrt(np.maximum(cross, 0.0)).sum())


def fastest_growth_of_images(images: NDArray[np.float32], seed: int = 0) -> float:
    """The noise level at which xi_x of ``images`` (n, 1, H, W) plus noise grows fastest; no network is asked."""
    levels = np.geomspace(40.0, 0.05, 48)
    noise = np.random.default_rng(seed).standard_normal(images.shape)
    lengths = [
        correlation_length((images + sigma * noise)[:, 0], "second-moment", binarize=False) for sigma in levels
    ]  # fmt: skip
    return float(fastest_growth(levels, np.stack(lengths, axis=1)).time)


def trial_report(
    made: Sequence[Block],
    steps: Sequence[StepErrors],
    window: GuidanceWindow,
    settings: TrialSettings,
    judge: Classifier,
    reference: NDArray[np.float32],
    centres: Mapping[str, float | None],
) -> dict[str, Any]:
    """Everything in JSON values; ``centres`` are levels whose factor of two either side is compared."""
    targets = np.concatenate([block.targets for block in made])
    unguided = np.concatenate([block.unguided for block in made], axis=1)
    guided = np.concatenate([block.guided for block in made], axis=4)
    known = judge.logits(torch.from_numpy(reference)).double().numpy()
    mean, covariance = known.mean(axis=0), np.cov(known, rowvar=False)
    metrics: dict[str, Metric] = {
        "logit": lambda logits, y: float(logits[:, np.arange(len(y)), y].mean()),
        "frechet": lambda logits, y: -frechet_distance(logits[0], mean, covariance),
        "accuracy": lambda logits, y: float((logits[0].argmax(axis=1) == y).mean()),
        "accuracy of the second classifier": lambda logits, y: float((logits[-1].argmax(axis=1) == y).mean()),
    }
    levels = settings.grid[:-1]
    windows: dict[str, tuple[float, float]] = {}
    if math.isfinite(window.sigma_low):
        windows["recommended"] = (window.sigma_high, window.sigma_low)
    windows["whole range"] = (float(levels[0]), float(levels[-1]))
    windows |= {name: (2.0 * at, 0.5 * at) for name, at in centres.items() if at is not None and math.isfinite(at)}
    spans = {name: _span(levels, *ends) for name, ends in windows.items()}
    cost = sum(block.evaluations for block in made)
    draws = _resamples(targets)
    by_metric = {}
    for name in _METRICS:
        by_metric[name] = {
            "unguided": metrics[name](unguided, targets),
            "by_weight": [
                {"weight": weight, **_shares(metrics[name], unguided, guided[:, at], targets, spans, draws)}
                for at, weight in enumerate(settings.weights)
            ],
        }
    return {
        "images": len(targets),
        "levels": levels.tolist(),
        "weights": list(settings.weights),
        "evaluations": {"grid": cost, "measurement": window.evaluations, "ratio": window.evaluations / cost},
        "verdict_of_window": window.verdict,
        "measurement": window.to_dict(()),
        "windows": {name: {"sigma": list(ends), "levels": spans[name]} for name, ends in windows.items()},
        "metrics": by_metric,
        "step_grids": _steps(steps, settings),
    }


def trial_table(report: Mapping[str, Any]) -> str:
    """The report as an aligned table."""
    lines = [f"{report['images']} images a cell; levels " + " ".join(f"{sigma:.3g}" for sigma in report["levels"])]
    cost = report["evaluations"]
    lines.append(f"evaluations: measurement {cost['measurement']}, grid {cost['grid']} ({100 * cost['ratio']:.2g} %)")
    for name, entry in report["windows"].items():
        span = "no level" if entry["levels"] is None else f"levels {entry['levels'][0]} to {entry['levels'][1]}"
        lines.append(f"  {name:<14} sigma {entry['sigma'][0]:.3g} to {entry['sigma'][1]:.3g}: {span}")
    for metric, found in report["metrics"].items():
        lines.append(f"{metric}: unguided {found['unguided']:.4g}")
        for entry in found["by_weight"]:
            best = entry["best"]
            lines.append(f"  w = {entry['weight']:g}: best {entry['best_value']:.4g} in levels {best[0]} to {best[1]}")
            for name, one in entry["windows"].items():
                share = "none" if one["share"] is None else f"{one['share']:.3f}"
                interval = "" if one["low"] is None else f" [{one['low']:.3f}, {one['high']:.3f}]"
                lines.append(f"    {name:<14} {one['value']:.4g}   share of the best gain {share}{interval}")
    for entry in report["step_grids"]:
        values = "  ".join(f"{name} {value:.4f} ± {error:.4f}" for name, (value, error) in entry["rms"].items())
        lines.append(f"{entry['solver']}, {entry['evaluations']} evaluations, rms to the reference: {values}")
    return "\n".join(lines)


def _shares(
    metric: Metric,
    unguided: NDArray[np.float32],
    guided: NDArray[np.float32],
    targets: NDArray[np.int64],
    spans: Mapping[str, list[int] | None],
    draws: NDArray[np.int64],
) -> dict[str, Any]:
    n = guided.shape[1]
    pairs = [(first, last) for first in range(n) for last in range(first, n)]

    def gains(rows: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
        base = metric(unguided[:, rows], targets[rows])
        return base, np.array([metric(guided[:, i, j][:, rows], targets[rows]) - base for i, j in pairs])

    base, gain = gains(np.arange(len(targets)))
    drawn = np.stack([gains(rows)[1] for rows in draws])
    best = int(gain.argmax())
    table = np.full((n, n), np.nan)
    for (i, j), value in zip(pairs, gain, strict=True):
        table[i, j] = base + value
    windows: dict[str, Any] = {}
    for name, span in spans.items():
        at = None if span is None else pairs.index((span[0], span[1]))
        own, most = (0.0 if at is None else float(gain[at])), float(gain[best])
        others = np.zeros(len(drawn)) if at is None else drawn[:, at]
        # The best interval is chosen anew in each resample, as a user of the grid would.
        shares = np.divide(others, drawn.max(axis=1), out=np.full(len(drawn), np.nan), where=drawn.max(axis=1) > 0.0)
        low, high = np.quantile(shares, (0.025, 0.975)) if np.isfinite(shares).all() else (math.nan, math.nan)
        windows[name] = {
            "value": base + own,
            "share": own / most if most > 0.0 else None,
            "low": float(low) if math.isfinite(low) else None,
            "high": float(high) if math.isfinite(high) else None,
        }
    return {
        "best": list(pairs[best]),
        "best_value": base + float(gain[best]),
        "table": [[None if math.isnan(value) else value for value in row] for row in table.tolist()],
        "windows": windows,
    }


def _span(levels: NDArray[np.float64], high: float, low: float) -> list[int] | None:
    inside = np.flatnonzero((levels <= high * (1.0 + 1e-12)) & (levels >= low * (1.0 - 1e-12)))
    return [int(inside[0]), int(inside[-1])] if len(inside) else None


def _resamples(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bootstrap draws (resamples, n) within each class."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(targets == label) for label in np.unique(targets)]
    parts = [some[rng.integers(0, len(some), size=(_RESAMPLES, len(some)))] for some in members]
    return np.concatenate(parts, axis=1)


def _steps(steps: Sequence[StepErrors], settings: TrialSettings) -> list[dict[str, Any]]:
    if not steps:
        return []
    errors = np.concatenate([block.errors for block in steps], axis=-1)
    spread = standard_error(errors, axis=-1)
    return [
        {
            "solver": solver,
            "evaluations": evaluations,
            "rms": {
                name: [float(errors[grid, at, which].mean()), float(spread[grid, at, which])]
                for grid, name in enumerate(steps[0].grids)
            },
        }
        for which, solver in enumerate(("euler", "heun"))
        for at, evaluations in enumerate(settings.evaluations)
    ]
