"""The weak error of every solver against the number of steps: statistics of the final state of the default machine.

``python -m bench.weak_error`` runs 128 trajectories of 80 × 80 for each solver and number of steps, compares the mean
of xi_x, of the nearest-neighbour order and of |m| with those of the finest Euler-Maruyama run, and draws
docs/weak-error.png. Seeds differ between runs, so that the errors are independent.
"""

import argparse
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastpatch as fp
from bench.console import run_main
from fastpatch.analysis import correlation_length, domain_wall_density
from fastpatch.runs.solvers import SolverName

__all__ = ["final_statistics", "main"]

_FINEST = 4000
_STEPS: dict[SolverName, tuple[int, ...]] = {
    "euler-maruyama": (135, 180, 250, 500, 1000, 2000),
    "ancestral": (30, 60, 90, 125, 250, 500, 1000),
    "heun": (30, 60, 125, 250, 500),
}
_QUANTITIES = {"xi_x": "ξ_x (sites)", "order": "nearest-neighbour order", "m": "|m|"}


def final_statistics(
    solver: SolverName, steps: int, *, seed: int, trajectories: int = 128, side: int = 80
) -> dict[str, NDArray[np.float64]]:
    """xi_x, nearest-neighbour order (1 - 2 walls a bond) and |m| of every trajectory's final state."""
    model = fp.PatchModel(fp.PatchDictionary.random())
    times = fp.log_time_grid(steps=steps)
    run = fp.simulate(
        model, side, trajectories, times, seed, solver=solver, observables=["magnetization"], record_every=steps,
        snapshots=0,
    )  # fmt: skip
    final = run["final"].to_numpy()
    return {
        "xi_x": np.asarray(correlation_length(final)),
        "order": 1.0 - 2.0 * np.asarray(domain_wall_density(final)),
        "m": np.abs(run["magnetization"].to_numpy()[:, -1]),
    }


def main(path: Path) -> None:
    """Print the table and draw the figure."""
    seeds = count(1)
    finest = final_statistics("euler-maruyama", _FINEST, seed=next(seeds))
    rows: list[tuple[str, int, dict[str, tuple[float, float]]]] = []
    print(f"{'solver':<16}{'steps':>7}" + "".join(f"{words:>30}" for words in _QUANTITIES.values()))
    print(f"{'euler-maruyama':<16}{_FINEST:>7}" + "".join(f"{_shown(_mean(finest[q])):>30}" for q in _QUANTITIES))
    for solver, numbers in _STEPS.items():
        for steps in numbers:
            found = final_statistics(solver, steps, seed=next(seeds))
            differences = {q: _difference(found[q], finest[q]) for q in _QUANTITIES}
            rows.append((solver, steps, differences))
            print(f"{solver:<16}{steps:>7}" + "".join(f"{_shown(differences[q]):>30}" for q in _QUANTITIES), flush=True)
    _draw(rows, path)
    print(f"wrote {path}")


def _mean(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _difference(found: NDArray[np.float64], finest: NDArray[np.float64]) -> tuple[float, float]:
    (a, da), (b, db) = _mean(found), _mean(finest)
    return a - b, float(np.hypot(da, db))


def _shown(value: tuple[float, float]) -> str:
    return f"{value[0]:+.4f} ± {value[1]:.4f}"


def _draw(rows: list[tuple[str, int, dict[str, tuple[float, float]]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.0), layout="constrained")
    panels: Any = figure.subplots(1, len(_QUANTITIES))
    marks = {"euler-maruyama": ("o", "#0072b2"), "ancestral": ("s", "#d55e00"), "heun": ("^", "#009e73")}
    for axes, (quantity, words) in zip(panels, _QUANTITIES.items(), strict=True):
        axes.axhline(0.0, color="0.6", linewidth=0.8)
        for solver, (marker, colour) in marks.items():
            of = [(steps, *differences[quantity]) for name, steps, differences in rows if name == solver]
            steps, values, errors = np.array(of).T
            axes.errorbar(steps, values, 2.0 * errors, marker=marker, color=colour, label=solver, linewidth=1.0)
        axes.set_xscale("log")
        axes.set_xlabel("steps")
        axes.set_title(words)
    panels[0].set_ylabel(f"mean, less that of {_FINEST} Euler-Maruyama steps")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(marks))
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/weak-error.png"))
    run_main(lambda: main(parser.parse_args().out))
