"""The scaling study that a sweep is: which one follows from the parameters that vary in it."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidInputError
from ..validation import sides
from .finite_size import FiniteSize, finite_size_scaling
from .kinds import require_kind
from .observables import Ensemble
from .prior_mass import PriorMass, prior_mass_dependence
from .quench import Quench, QuenchRate, quench_rate_dependence

if TYPE_CHECKING:
    import xarray as xr

    from ..sweeps import Parameters

__all__ = ["Study", "scaling_study", "sweep_ensembles"]

Study = FiniteSize | QuenchRate | PriorMass


def scaling_study(dataset: "xr.Dataset", *, n_resamples: int = 400, seed: int = 0) -> Study:
    """The study of a sweep's finished points, a dataset of `fastpatch.open_sweep`.

    `finite_size_scaling`, `quench_rate_dependence` or `prior_mass_dependence`, as `study_kind` says; replicas are
    pooled. Raises `InvalidInputError` where other parameters vary, or no point is finished.
    """
    options = {"n_resamples": n_resamples, "seed": seed}
    found = sweep_ensembles(dataset)
    kind = require_kind(found)
    if kind == "finite-size":
        return finite_size_scaling({p.shape[0]: ensemble for p, ensemble in found.items()}, **options)
    if kind == "quench-rate":
        quenches = {Quench(p.beta, p.steps, p.t_max, p.t_min): ensemble for p, ensemble in found.items()}
        return quench_rate_dependence(quenches, **options)
    models = {(p.uniform_mass, p.dictionary_seed): (ensemble, _model(p)) for p, ensemble in found.items()}
    return prior_mass_dependence(models, **options)


def sweep_ensembles(dataset: "xr.Dataset") -> "dict[Parameters, Ensemble]":
    """The finished points of a sweep by their parameters, replicas together, loaded one point at a time.

    ``trajectories`` counts those of a point, and points that differ in it belong together: it is the default in the
    keys. Values that are not finite count as missing, and points without any other are left out.
    Raises `InvalidInputError` where no point is finished, or none has a value.
    """
    from ..sweeps import Parameters

    finished = np.flatnonzero(dataset["finished"].to_numpy())
    if finished.size == 0:
        raise InvalidInputError("the sweep has no finished point; expected at least one")
    parts: dict[Parameters, list[Any]] = {}
    for index in finished:
        point = dataset[["xi_x", "xi_eq", "mode_derivative"]].isel(point=int(index)).load()
        times = point["time"].to_numpy()
        recorded = np.isfinite(times)
        lambda_0 = point["mode_derivative"].sel(shell=0).isel(direction=slice(0, 2)).mean("direction", skipna=False)
        curves = [part.to_numpy()[:, recorded] for part in (point["xi_x"], point["xi_eq"], lambda_0)]
        xi_x, xi_eq, zero_mode = (np.where(np.isfinite(curve), curve, np.nan) for curve in curves)
        if np.isnan(zero_mode).all():
            continue
        labels = {field.name: point[field.name].item() for field in fields(Parameters) if field.name in point.coords}
        labels |= {"shape": sides(labels["shape"]), "trajectories": Parameters.trajectories}
        key = Parameters(**labels)
        parts.setdefault(key, []).append((times[recorded], xi_x, xi_eq, zero_mode))
    if not parts:
        raise InvalidInputError("no finished point of the sweep has a value of lambda_0; expected at least one")
    return {key: _pooled(replicas) for key, replicas in parts.items()}


def _pooled(replicas: list[Any]) -> Ensemble:
    times, *curves = zip(*replicas, strict=True)
    return Ensemble(times[0], *(np.concatenate(curve) for curve in curves))


def _model(parameters: "Parameters") -> Any:
    from ..sweeps import Point

    return Point(parameters, 0, 0).model()
