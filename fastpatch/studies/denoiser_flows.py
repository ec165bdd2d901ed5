r"""Denoisers compared along the deterministic flow from one noise, as Kamb and Ganguli do (arXiv 2412.20292).

A step of the flow keeps the posterior mean of its beginning (DDIM):
:math:`x_s = \frac{\sigma_s}{\sigma_t} x_t + (\alpha_s - \frac{\sigma_s}{\sigma_t}\alpha_t)\, m(x_t, t)`,
Euler's step of :math:`d(x/\alpha)/d(\sigma/\alpha)`, and the end image is the posterior mean at the last time.

Two questions: what another denoiser says of the states that the reference's flow passes through, and where its own flow
ends. End images of one data set are alike even where they come from other noises: how much is measured beside.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..atomic import exclusive_directory
from ..errors import InvalidInputError
from ..kept_parts import KeptParts
from ..models.base import Model
from ..noise import standard_normals
from ..provenance import environment
from ..validation import integer, time_grid
from .denoising import Lazy, Once, agreement, kept_name, noise_level, posterior_mean, same_schedule

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare_flows", "flow"]

# Flows that are finished together and kept on disk.
_TOGETHER = 10


def flow(model: Model, x: NDArray[Any], times: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """States and posterior means (times, ..., L1, L2) of the flow from x (..., L1, L2) at the first of the times."""
    grid = time_grid(times)
    alpha, sigma = model.schedule.alpha(grid), np.sqrt(model.schedule.sigma2(grid))
    states = [x]
    means = [posterior_mean(model, x, float(grid[0]))]
    for k in range(1, len(grid)):
        shrink = sigma[k] / sigma[k - 1]
        moved = shrink * states[-1] + (alpha[k] - shrink * alpha[k - 1]) * means[-1]
        states.append(moved.astype(x.dtype))
        means.append(posterior_mean(model, states[-1], float(grid[k])))
    return np.stack(states), np.stack(means)


def compare_flows(
    denoisers: Mapping[str, Lazy],
    shape: tuple[int, int],
    count: int,
    times: ArrayLike,
    *,
    reference: str,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    every: int = 2,
    versions: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> "xr.Dataset":
    """Every denoiser on the states of the reference's flow, and its own flow from the same noise.

    Parameters
    ----------
    denoisers, reference, counts, versions, folder
        As in `compare_denoisers`.
    shape, count, seed
        Lattice, number of flows, and key of the noise: flow n starts from the normals of trajectory n.
    times
        Decreasing; the first one is taken as pure noise, x ~ N(0, 1).
    every
        Stride through the states of the reference's flow at which the denoisers are compared, from the first one.
    progress
        Called with the name and the number of flows that are done.

    Returns ``along_pearson`` and ``along_r2`` (denoiser, flow_time, image), of the posterior means at the reference's
    states, ``end_pearson``, ``end_r2`` (denoiser, image) of the end images, ``end_other``, Pearson's r with the
    reference's end image of the next noise, and the images ``end`` (denoiser, image, y, x); NaN beyond ``counts``.
    Raises `InvalidInputError` for an unknown reference, one of which ``counts`` wants fewer flows than of others,
    schedules that differ, and numbers that do not fit.
    """
    import xarray as xr

    grid, number = time_grid(times), integer(count, "count", minimum=2)
    key, stride = integer(seed, "seed", minimum=0), integer(every, "every", minimum=1)
    names = list(denoisers)
    if reference not in names:
        raise InvalidInputError(f"reference is {reference!r}; expected one of {', '.join(names)}")
    fewer = {name: min(integer(n, f"counts[{name!r}]", minimum=1), number) for name, n in (counts or {}).items()}
    if fewer.get(reference, number) < number:
        raise InvalidInputError(
            f"counts[{reference!r}] is {fewer[reference]}; expected all {number} flows of the reference"
        )
    start = standard_normals((number, *shape), seed=key, step=0, dtype=np.dtype("float32"))
    stems = {name: kept_name(name, maker, versions) for name, maker in denoisers.items()}
    identity = {"shape": list(shape), "times": grid.tolist(), "every": stride, "seed": key}

    def all_of(folder: Path | None) -> dict[str, dict[str, NDArray[Any]]]:
        kept = KeptParts(None if folder is None else folder / "flows", identity, "comparison of flows")
        found: dict[str, dict[str, NDArray[Any]]] = {}
        levels = np.full((2, len(grid)), np.nan)
        for name in (reference, *(name for name in names if name != reference)):
            model, parts = Once(denoisers[name]), []
            for first in range(0, fewer.get(name, number), _TOGETHER):
                chosen = slice(first, min(first + _TOGETHER, fewer.get(name, number)))
                flows = f"{first}-{chosen.stop}"
                own = kept.part(f"{stems[name]}-{flows}", partial(_own, model, start[chosen], grid, stride))
                # Flows of earlier versions have no levels.
                if "levels" in own:
                    levels = same_schedule(name, own["levels"], levels)
                if name == reference:
                    said = {"along": own["means"]}
                else:
                    states = found[reference]["states"][:, chosen]
                    said = kept.part(
                        f"{stems[name]}-on-{stems[reference]}-{flows}", partial(_said, model, states, grid[::stride])
                    )
                parts.append({"states": own["states"], "end": own["end"], **said})
                if progress is not None:
                    progress(name, chosen.stop)
            found[name] = {key: np.concatenate([part[key] for part in parts], axis=1) for key in parts[0]}
        return found

    if folder is not None:
        with exclusive_directory(folder, "a comparison of denoisers") as directory:
            found = all_of(directory)
    else:
        found = all_of(None)
    dims, shown = ("denoiser", "flow_time", "image"), found[reference]
    along, ends = shown["along"].astype(np.float64), shown["end"][0].astype(np.float64)
    filled = {
        name: np.full((len(names), *size), np.nan) for name, size in (("along", along.shape), ("end", ends.shape))
    }
    for n, name in enumerate(names):
        done = found[name]["along"].shape[1]
        filled["along"][n, :, :done], filled["end"][n, :done] = found[name]["along"], found[name]["end"][0]
    along_pearson, along_r2 = agreement(filled["along"], along)
    end_pearson, end_r2 = agreement(filled["end"], ends)
    other, _ = agreement(filled["end"], np.roll(ends, -1, axis=0))
    with_reference = f"with {reference}'s"
    variables: dict[str, Any] = {
        "along_pearson": (
            dims,
            along_pearson,
            {"long_name": f"Pearson's r {with_reference} along its flow", "units": "1"},
        ),
        "along_r2": (dims, along_r2, {"long_name": f"R^2 {with_reference} along its flow", "units": "1"}),
        "end_pearson": (
            dims[::2],
            end_pearson,
            {"long_name": f"Pearson's r of the end image {with_reference}", "units": "1"},
        ),
        "end_r2": (dims[::2], end_r2, {"long_name": f"R^2 of the end image {with_reference}", "units": "1"}),
        "end_other": (dims[::2], other, {"long_name": f"Pearson's r {with_reference} of the next noise", "units": "1"}),
        "end": (
            ("denoiser", "image", "y", "x"),
            filled["end"].astype(np.float32),
            {"long_name": "end image", "units": "1"},
        ),
    }
    run = {"what": "compare_flows", "denoisers": names, "seed": key, "reference": reference, "steps": len(grid) - 1}
    provenance = {"run": run, "environment": environment()}
    coordinates = {"denoiser": names, "flow_time": grid[::stride]}
    return xr.Dataset(variables, coordinates, {"provenance": json.dumps(provenance)})


def _own(model: Once, x: NDArray[Any], times: NDArray[np.float64], stride: int) -> dict[str, NDArray[Any]]:
    """States and posterior means of the own flows from some noises, at every ``stride``-th time and at the end."""
    states, means = flow(model(), x, times)
    kept = {"states": states[::stride], "means": means[::stride], "end": means[-1:]}
    return {**kept, "levels": noise_level(model(), times)}


def _said(model: Once, states: NDArray[Any], times: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """The posterior means of other flows' states (times, ..., L1, L2)."""
    return {"along": np.stack([posterior_mean(model(), x, float(t)) for x, t in zip(states, times, strict=True)])}
