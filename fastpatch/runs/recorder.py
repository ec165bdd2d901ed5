"""What is recorded of a run, and how it is labelled."""

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..analysis import fit_equilibrium_length
from ..models.base import Model
from ..provenance import environment
from .engines.base import Engine
from .setup import Run

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DIRECTIONS", "FITTED_SHELLS", "LABELS", "Recorder"]

# The shells whose dispersion the equilibrium length is fitted on (App. C.10), beside shell 0.
FITTED_SHELLS = (1, 2, 3)

# Fields are collected to about this many bytes before their correlation lengths are taken together.
_BLOCK_BYTES = 8 * 2**20

DIRECTIONS = ("y", "x", "diagonal")

# What the variables and coordinates of a result are, as their attributes say it.
LABELS = {
    name: {"long_name": long_name, "units": units}
    for name, (long_name, units) in {
        "xi_x": ("correlation length of sign(x)", "lattice sites"),
        "mode_derivative": ("directional derivative of the reverse drift", "1 / diffusion time"),
        "xi_eq": ("equilibrium correlation length", "lattice sites"),
        "magnetization": ("spatial mean of x", "1"),
        "snapshot": ("field x", "1"),
        "final": ("field x at the last time", "1"),
        "time": ("diffusion time t", "1"),
        "step": ("index into the time grid", "1"),
        "shell": ("mode number n", "1"),
        "wave_number": ("wave number per coordinate step", "radians / lattice site"),
        "snapshot_time": ("diffusion time t", "1"),
    }.items()
}


class Recorder:
    """Fills the arrays of the dataset while the run goes on."""

    def __init__(
        self, run: Run, engine: Engine, recorded: list[int], kept: list[int], shells: NDArray[np.int64], diagonal: bool
    ) -> None:
        self._run, self._engine, self._recorded, self._kept, self._shells = run, engine, recorded, kept, shells
        self._critical_time = _critical_time(run.model)
        self._position = {step: index for index, step in enumerate(recorded)}
        self._stops = np.array(sorted({*recorded, *kept}))
        count, directions = run.trajectories, 3 if diagonal else 2
        self._xi_x = np.empty((count, len(recorded)))
        self._magnetization = np.empty((count, len(recorded)))
        self._derivatives = np.empty((count, len(recorded), shells.size, directions))
        self._snapshots = engine.gallery(len(kept))
        block = _BLOCK_BYTES // (count * run.shape[0] * run.shape[1] * run.dtype.itemsize)
        self._fields = engine.space(min(max(block, 1), len(recorded)))

    def run_through(self, window: range) -> None:
        """Take the steps of ``window``, recording the states before those that are wanted."""
        stops = self._stops[(self._stops >= window.start) & (self._stops < window.stop)]
        first = window.start
        for begin in range(0, max(len(stops), 1), len(self._fields)):
            block = stops[begin : begin + len(self._fields)]
            end = stops[begin + len(self._fields)] if begin + len(self._fields) < len(stops) else window.stop
            records = np.full(end - first, -1)
            records[block - first] = np.arange(len(block))
            fields = self._fields[: len(block)]
            self.keep(block.tolist(), fields, self._engine.advance(records, fields))
            first = end

    def keep(self, steps: list[int], fields: Any, derivatives: NDArray[np.float64]) -> None:
        """Take the observables of the states ``fields`` (steps, T, L1, L2)."""
        wanted = [index for index, step in enumerate(steps) if step in self._position]
        if wanted:
            at = [self._position[steps[index]] for index in wanted]
            xi_x, magnetization = self._engine.observe(fields, wanted)
            self._xi_x[:, at] = xi_x.T
            self._magnetization[:, at] = magnetization.T
            self._derivatives[:, at] = np.swapaxes(derivatives[wanted], 0, 1)
        for index, step in enumerate(self._kept):
            if step in steps:
                self._snapshots[:, index] = self._engine.fetch(fields, steps.index(step))

    def dataset(self, final: Any, recording: dict[str, Any]) -> "xr.Dataset":
        import xarray as xr

        run = self._run
        sides = np.array([run.shape[0], run.shape[1], run.shape[0]])[: self._derivatives.shape[-1]]
        # Both axes enter the shell mean, so the wave number that goes with it is their root mean square.
        k_min = float(2.0 * np.pi * np.sqrt(np.mean(1.0 / np.array(run.shape, dtype=np.float64) ** 2)))
        by_shell = np.full((*self._xi_x.shape, self._shells.max() + 1), np.nan)
        by_shell[..., self._shells] = self._derivatives[..., :2].mean(axis=-1)
        provenance = {"run": json.loads(run.identity), **recording, "environment": environment()}
        arrays: dict[str, Any] = getattr(run.model, "arrays", dict)()
        attributes: dict[str, Any] = {"provenance": json.dumps(provenance, sort_keys=True), "k_min": k_min}
        if self._critical_time is not None:
            attributes["critical_time"] = self._critical_time
        curve = ("trajectory", "time")
        variables: dict[str, tuple[Any, Any]] = {
            "xi_x": (curve, self._xi_x),
            "mode_derivative": ((*curve, "shell", "direction"), self._derivatives),
            "xi_eq": (curve, fit_equilibrium_length(by_shell, k_min, shells=FITTED_SHELLS)),
            "magnetization": (curve, self._magnetization),
            "snapshot": (("trajectory", "snapshot_time", "y", "x"), self._snapshots),
            "final": (("trajectory", "y", "x"), final),
        }
        coordinates: dict[str, tuple[Any, NDArray[Any]]] = {
            "time": ("time", run.times[self._recorded]),
            "step": ("time", np.array(self._recorded)),
            "shell": ("shell", self._shells),
            "wave_number": (("shell", "direction"), 2.0 * np.pi * np.outer(self._shells, 1.0 / sides)),
            "snapshot_time": ("snapshot_time", run.times[self._kept]),
        }
        return xr.Dataset(
            {**{name: (*of, LABELS[name]) for name, of in variables.items()}, **arrays},
            coords={
                "trajectory": run.first_trajectory + np.arange(run.trajectories),
                "direction": list(DIRECTIONS[: len(sides)]),
                **{name: (*of, LABELS[name]) for name, of in coordinates.items()},
            },
            attrs=attributes,
        )


def _critical_time(model: Model) -> float | None:
    """The model's predicted critical time, None where it has none."""
    try:
        found: float | None = getattr(model, "critical_time", None)
    # A rate may hold on the grid alone: beyond, where the prediction may lie, it raises whatever it likes.
    except Exception:
        return None
    return None if found is None or math.isnan(found) else found
