"""The scaling study that a sweep is: which one follows from the parameters that vary in it."""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InvalidInputError
from .finite_size import FiniteSize, finite_size_scaling
from .observables import Ensemble
from .prior_mass import PriorMass, prior_mass_dependence
from .quench import Quench, QuenchRate, quench_rate_dependence

if TYPE_CHECKING:
    import xarray as xr

    from ...sweeps import Parameters

__all__ = ["Study", "scaling_study", "sweep_ensembles"]

Study = FiniteSize | QuenchRate | PriorMass


def scaling_study(dataset: "xr.Dataset", *, n_resamples: int = 400, seed: int = 0) -> Study:
    """The study of a sweep's finished points, a dataset of `fastpatch.open_sweep`.

    Where only L varies, `finite_size_scaling`; beta, T, t_min or steps, `quench_rate_dependence`; uniform_mass and
    possibly dictionary_seed, `prior_mass_dependence`. Replicas are pooled.
    Raises `InvalidInputError` where other parameters vary, or no point is finished.
    """
    options = {"n_resamples": n_resamples, "seed": seed}
    found = sweep_ensembles(dataset)
    points = [vars(parameters) for parameters in found]
    varying = {name for name in points[0] if len({point[name] for point in points}) > 1}
    if varying == {"L"}:
        return finite_size_scaling({p.L: ensemble for p, ensemble in found.items()}, **options)
    if varying and varying <= {field.name for field in fields(Quench)}:
        quenches = {Quench(p.beta, p.steps, p.T, p.t_min): ensemble for p, ensemble in found.items()}
        return quench_rate_dependence(quenches, **options)
    if "uniform_mass" in varying and varying <= {"uniform_mass", "dictionary_seed"}:
        models = {(p.uniform_mass, p.dictionary_seed): (e, _model(p)) for p, e in found.items()}
        return prior_mass_dependence(models, **options)
    raise InvalidInputError(
        f"the finished points vary in {', '.join(sorted(varying)) or 'no parameter'}; expected L alone, beta, T, t_min "
        "or steps, or uniform_mass and possibly dictionary_seed"
    )


def sweep_ensembles(dataset: "xr.Dataset") -> "dict[Parameters, Ensemble]":
    """The finished points of a sweep by their parameters, replicas together, loaded one point at a time.

    ``trajectories`` counts those of a point; replicas of any number of trajectories belong together, so it is the
    default throughout. Raises `InvalidInputError` where no point is finished.
    """
    from ...sweeps import Parameters

    finished = np.flatnonzero(dataset["finished"].to_numpy())
    if finished.size == 0:
        raise InvalidInputError("the sweep has no finished point; expected at least one")
    parts: dict[Parameters, list[Any]] = {}
    for index in finished:
        point = dataset[["xi_x", "xi_eq", "mode_derivative"]].isel(point=int(index)).load()
        values = {field.name: point[field.name].item() for field in fields(Parameters)}
        times = point["time"].to_numpy()
        kept = np.isfinite(times)
        lambda_0 = point["mode_derivative"].sel(shell=0).isel(direction=slice(0, 2)).mean("direction", skipna=False)
        curves = [part.to_numpy()[:, kept] for part in (point["xi_x"], point["xi_eq"], lambda_0)]
        key = replace(Parameters(**values), trajectories=Parameters.trajectories)
        parts.setdefault(key, []).append((times[kept], *curves))
    return {key: _pooled(replicas) for key, replicas in parts.items()}


def _pooled(replicas: list[Any]) -> Ensemble:
    times, *curves = zip(*replicas, strict=True)
    return Ensemble(times[0], *(np.concatenate(curve) for curve in curves))


def _model(parameters: "Parameters") -> Any:
    from ...sweeps import Point

    return Point(parameters, 0, 0).model()
