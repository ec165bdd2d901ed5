"""Results as labelled datasets: names, units and coordinates, once for all that runs."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.equilibrium import equilibrium_length, smallest_wave_number
from ..models.base import Model
from ..provenance import environment
from .dimensions import model_arrays
from .recording import Recording
from .setup import Setup

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "DIRECTIONS",
    "LABELS",
    "labelled",
    "provenance_of",
]

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


def provenance_of(run: Mapping[str, Any], **recording: Any) -> str:
    """The attribute ``provenance``: JSON of what ran, how it was recorded, versions and the machine."""
    return json.dumps({"run": dict(run), **recording, "environment": environment()}, sort_keys=True)


def labelled(
    setup: Setup,
    recording: Recording,
    records: Mapping[str, NDArray[np.float64]],
    snapshots: Any,
    final: Any,
    provenance: str,
) -> "xr.Dataset":
    """The dataset of a run from its records; ``provenance`` is its attribute of that name."""
    import xarray as xr

    sides = np.array([setup.shape[0], setup.shape[1], setup.shape[0]])[: setup.directions]
    k_min = smallest_wave_number(setup.shape)
    curve = ("trajectory", "time")
    derived = dict(records)
    if "xi_eq" in recording.fused:
        derived["xi_eq"], _ = equilibrium_length(records["mode_derivative"], setup.shells, k_min)
    variables: dict[str, tuple[Any, ...]] = {}
    for name in recording.fused:
        dims = (*curve, "shell", "direction") if name == "mode_derivative" else curve
        variables[name] = (dims, derived[name], LABELS[name])
    variables["snapshot"] = (("trajectory", "snapshot_time", "y", "x"), snapshots, LABELS["snapshot"])
    variables["final"] = (("trajectory", "y", "x"), final, LABELS["final"])
    coordinates: dict[str, Any] = {
        "trajectory": setup.first_trajectory + np.arange(setup.trajectories),
        "time": ("time", setup.times[list(recording.steps)], LABELS["time"]),
        "step": ("time", np.array(recording.steps), LABELS["step"]),
        "snapshot_time": ("snapshot_time", setup.times[list(recording.kept)], LABELS["snapshot_time"]),
    }
    if "mode_derivative" in recording.fused:
        wave_number = 2.0 * np.pi * np.outer(setup.shells, 1.0 / sides)
        coordinates |= {
            "shell": ("shell", setup.shells, LABELS["shell"]),
            "wave_number": (("shell", "direction"), wave_number, LABELS["wave_number"]),
            "direction": list(DIRECTIONS[: len(sides)]),
        }
    for observable in recording.others:
        label = {"long_name": observable.long_name or observable.name, "units": observable.units}
        variables[observable.name] = ((*curve, *observable.axes), records[observable.name], label)
    coordinates |= recording.coordinates
    attributes: dict[str, Any] = {"provenance": provenance, "k_min": k_min}
    critical_time = predicted_critical_time(setup.model)
    if critical_time is not None:
        attributes["critical_time"] = critical_time
    return xr.Dataset({**variables, **model_arrays(setup.model)}, coords=coordinates, attrs=attributes)


def predicted_critical_time(model: Model) -> float | None:
    """The model's predicted critical time, None where it has none."""
    try:
        found: float | None = getattr(model, "critical_time", None)
    # A rate may hold on the grid alone: beyond, where the prediction may lie, it raises whatever it likes.
    except Exception:
        return None
    return None if found is None or math.isnan(found) else found
