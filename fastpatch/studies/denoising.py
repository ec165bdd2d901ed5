"""Denoisers compared on held-out images: error, agreement with a reference, cost, by noise level.

The squared error of a denoiser at time t is E |m(alpha x_0 + sigma eta, t) - x_0|^2 a pixel; the posterior mean of the
data's own distribution has the least. On images that a model was made of, one that stores them has none: held-out ones
are the fair test.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
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
from ..validation import floating_field, integer, time_grid

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Lazy", "Once", "agreement", "compare_denoisers", "crossfitted", "described", "kept_name", "posterior_mean"]

# A denoiser, or what makes it: large ones are made when their turn comes, and freed after it.
Lazy = Model | Callable[[], Model]


class Once:
    """A denoiser that is made when it is first called for."""

    def __init__(self, maker: Lazy) -> None:
        self._maker, self._model = maker, None if callable(maker) else maker

    def __call__(self) -> Model:
        if self._model is None:
            assert callable(self._maker)
            self._model = self._maker()
        return self._model


def posterior_mean(model: Model, x: NDArray[Any], t: float) -> NDArray[Any]:
    """m(x, t) of a model: its own, or from its score, (x + sigma^2 s) / alpha."""
    own = getattr(model, "posterior_mean", None)
    if own is not None:
        return np.asarray(own(x, t), dtype=x.dtype)
    alpha, sigma2 = model.schedule.alpha(t), model.schedule.sigma2(t)
    return np.asarray((x + sigma2 * model.score(x, t)) / alpha, dtype=x.dtype)


def compare_denoisers(
    denoisers: Mapping[str, Lazy],
    images: ArrayLike,
    times: ArrayLike,
    *,
    reference: str | None = None,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    versions: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> "xr.Dataset":
    """Every denoiser on the same noised images.

    Parameters
    ----------
    denoisers
        Models by name, or functions without arguments that make them. All with the schedule of the first, in so far as
        alpha at the ``times`` tells schedules apart.
    images
        Held-out images (N, L1, L2), float32 or float64.
    times
        Decreasing diffusion times, one noise level each.
    reference
        The name of the denoiser that others are compared with, such as a trained network.
    seed
        Of the noise: image n at level k has the normals of trajectory n and step k.
    counts
        How many of the images, the first ones, an expensive denoiser gets; its other numbers are NaN.
    versions
        What tells denoisers of one name apart in ``folder``, such as the digest of the images or weights that a
        function makes one of; models themselves are told apart by their ``describe()``.
    folder
        Where finished denoisings are kept: a run that was interrupted goes on from there. None keeps nothing.
    progress
        Called with the name and time of every pair that is done.

    Returns ``mse`` and ``seconds`` (denoiser, time, image), a pixel and a whole image, and with a reference
    ``pearson`` (Pearson's r over pixels, of denoised images), ``r2`` (1 - |m - m_ref|^2 / |m_ref - <m_ref>|^2) and
    ``distance`` (|m - m_ref|^2 a pixel), with the coordinates ``alpha`` and ``sigma`` (time) unless all is kept from a
    version that did not note them.
    Raises `InvalidInputError` for an unknown reference, times and images that do not fit, schedules that differ, and a
    folder that holds those of other images, times or another seed.
    """
    fields, grid = floating_field(images, "images", minimum_ndim=3), time_grid(times)
    number = integer(seed, "seed", minimum=0)
    if fields.ndim != 3:
        raise InvalidInputError(f"images has shape {fields.shape}; expected (N, L1, L2)")
    names = list(denoisers)
    if reference is not None and reference not in names:
        raise InvalidInputError(f"reference is {reference!r}; expected one of {', '.join(names)}")
    fewer = {name: integer(count, f"counts[{name!r}]", minimum=1) for name, count in (counts or {}).items()}
    stems = {name: kept_name(name, maker, versions) for name, maker in denoisers.items()}
    if folder is not None:
        with exclusive_directory(folder, "a comparison of denoisers") as kept:
            found = dict(_all(denoisers, stems, fields, grid, number, fewer, kept, progress))
    else:
        found = dict(_all(denoisers, stems, fields, grid, number, fewer, None, progress))
    means, seconds = np.stack([found[name][0] for name in names]), np.stack([found[name][1] for name in names])
    return _dataset(names, means, seconds, fields, grid, found[names[-1]][2], reference, number)


def crossfitted(dataset: "xr.Dataset", names: Sequence[str]) -> tuple["xr.DataArray", "xr.DataArray"]:
    """The best of several denoisers at each time, chosen on other images than those that it is judged by.

    Returns the squared error (time, image), each half of the images with what the other half chose, and the choice
    (half, time) as names: half 0 are the images of even number, whose choice serves the odd ones.
    Raises `InvalidInputError` for fewer than two images.
    """
    import xarray as xr

    if dataset.sizes["image"] < 2:
        raise InvalidInputError(f"there is {dataset.sizes['image']} image; expected two, to choose on one for another")
    error = dataset["mse"].sel(denoiser=list(names))
    halves = [error.isel(image=slice(start, None, 2)) for start in (0, 1)]
    choice = [half.mean("image").argmin("denoiser").to_numpy() for half in halves]
    at_time = np.arange(error.sizes["time"])
    values = np.empty((error.sizes["time"], error.sizes["image"]))
    for start in (0, 1):
        part = halves[start].transpose("denoiser", "time", "image").to_numpy()
        values[:, start::2] = part[choice[1 - start], at_time]
    chosen = np.array(names)[np.stack(choice)]
    coordinates = {"time": dataset["time"]}
    return (
        xr.DataArray(values, dims=("time", "image"), coords=coordinates),
        xr.DataArray(chosen, dims=("half", "time"), coords=coordinates),
    )


def _all(
    denoisers: Mapping[str, Lazy],
    stems: Mapping[str, str],
    images: NDArray[Any],
    times: NDArray[np.float64],
    seed: int,
    counts: Mapping[str, int],
    folder: Path | None,
    progress: Callable[[str, float], None] | None,
) -> Iterator[tuple[str, tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]]]:
    """Denoised images (times, N, L1, L2) and seconds (times, N), denoiser by denoiser, NaN where not wanted.

    The third of them is what is known of alpha and sigma (2, times) so far.
    """
    levels = np.full((2, len(times)), np.nan)
    identity = {"images": sha256(images.tobytes()).hexdigest(), "times": times.tolist(), "seed": seed}
    kept = KeptParts(None if folder is None else folder / "noised", identity, "comparison of denoisers")
    for name, maker in denoisers.items():
        count = min(counts.get(name, len(images)), len(images))
        model = Once(maker)
        means = np.full((len(times), *images.shape), np.nan, dtype=np.float32)
        seconds = np.full((len(times), len(images)), np.nan)
        for k, t in enumerate(times):
            part = kept.part(
                f"{stems[name]}-{count}-{k:02d}", partial(_denoised, model, images[:count], float(t), k, seed)
            )
            means[k, :count], seconds[k, :count] = part["means"], part["seconds"]
            # Parts of earlier versions have no level.
            if "level" in part:
                levels[:, k] = same_schedule(name, part["level"], levels[:, k])
            if progress is not None:
                progress(name, float(t))
        yield name, (means, seconds, levels)


def _denoised(model: "Once", images: NDArray[Any], t: float, k: int, seed: int) -> dict[str, NDArray[Any]]:
    made = model()
    alpha, sigma = float(made.schedule.alpha(t)), float(np.sqrt(made.schedule.sigma2(t)))
    noise = standard_normals(images.shape, seed=seed, step=k, dtype=images.dtype)
    noised = (alpha * images + sigma * noise).astype(np.float32)
    means, seconds = np.empty(images.shape, dtype=np.float32), np.empty(len(images))
    # The first call of a kernel compiles it.
    posterior_mean(made, noised[:1], t)
    for n, x in enumerate(noised):
        begin = time.perf_counter()
        means[n] = posterior_mean(made, x, t)
        seconds[n] = time.perf_counter() - begin
    return {"means": means, "seconds": seconds, "level": noise_level(made, t)}


def noise_level(model: Model, t: ArrayLike) -> NDArray[np.float64]:
    """alpha and sigma of a model's schedule at times t (...), (2, ...)."""
    return np.stack([model.schedule.alpha(t), np.sqrt(model.schedule.sigma2(t))])


def same_schedule(name: str, level: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """The `noise_level` of a denoiser; `InvalidInputError` where that of others, NaN if not yet known, is another."""
    if not (np.isnan(known) | np.isclose(level, known, rtol=1e-6, atol=0.0)).all():
        raise InvalidInputError(
            f"the denoiser {name!r} has another schedule, with alpha = {level[0].flat[0]:.6g} in the place of "
            f"{known[0].flat[0]:.6g}; expected that of the first"
        )
    return level


def _dataset(
    names: list[str],
    means: NDArray[np.float32],
    seconds: NDArray[np.float64],
    images: NDArray[Any],
    times: NDArray[np.float64],
    levels: NDArray[np.float64],
    reference: str | None,
    seed: int,
) -> "xr.Dataset":
    import xarray as xr

    dims = ("denoiser", "time", "image")
    error = np.square(means.astype(np.float64) - images).mean(axis=(-2, -1))
    variables: dict[str, Any] = {
        "mse": (dims, error, {"long_name": "squared error a pixel", "units": "1"}),
        "seconds": (dims, seconds, {"long_name": "time of one evaluation", "units": "s"}),
    }
    if reference is not None:
        target = means[names.index(reference)].astype(np.float64)
        pearson, r2 = agreement(means.astype(np.float64), target)
        variables["pearson"] = (dims, pearson, {"long_name": f"Pearson's r with {reference}", "units": "1"})
        distance = np.square(means - target).mean(axis=(-2, -1))
        variables["distance"] = (dims, distance, {"long_name": f"squared distance from {reference}", "units": "1"})
        variables["r2"] = (dims, r2, {"long_name": f"R^2 with {reference} as truth", "units": "1"})
    run = {
        "what": "compare_denoisers",
        "denoisers": names,
        "images": sha256(images.tobytes()).hexdigest(),
        "seed": seed,
        "reference": reference,
    }
    provenance = {"run": run, "environment": environment()}
    coordinates: dict[str, Any] = {"denoiser": names, "time": times}
    if np.isfinite(levels).all():
        coordinates |= {"alpha": ("time", levels[0]), "sigma": ("time", levels[1])}
    return xr.Dataset(variables, coordinates, {"provenance": json.dumps(provenance)})


def described(denoiser: Lazy) -> dict[str, Any] | None:
    """What a model says that it is; None for what makes one, and for a model that does not say."""
    describe = getattr(denoiser, "describe", None)
    return None if describe is None else dict(describe())


def kept_name(name: str, denoiser: Lazy, versions: Mapping[str, str] | None) -> str:
    """What the files of a denoiser's kept results begin with: its name, and what tells it from others of that name."""
    version = (versions or {}).get(name)
    # Of a network, the description holds the digest of its weights: it is asked for once.
    if version is None and (told := described(denoiser)) is not None:
        version = json.dumps(told, sort_keys=True)
    words = "".join(letter if letter.isalnum() else "-" for letter in name)
    return words if version is None else f"{words}-{sha256(version.encode()).hexdigest()[:12]}"


def agreement(means: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Pearson's r and R^2 of images (..., L1, L2) with those of a reference; NaN where an image is constant."""
    centred, wanted = (a - a.mean(axis=(-2, -1), keepdims=True) for a in (means, target))
    power, needed = (np.square(a).sum(axis=(-2, -1)) for a in (centred, wanted))
    with np.errstate(invalid="ignore", divide="ignore"):
        pearson = (centred * wanted).sum(axis=(-2, -1)) / np.sqrt(power * needed)
        r2 = 1.0 - np.square(means - target).sum(axis=(-2, -1)) / needed
    return pearson, r2
