r"""A network that sees P x P pixels beside the patch machine of the same images: how near it comes to what is possible.

Of all functions of a P x P neighbourhood the machine's posterior mean m has the least squared error on the images that
it is made of, and for any other f

.. math:: E|f - x_0|^2 - E|m - x_0|^2 = E|f - m|^2 ,

because the error of m is orthogonal to every function of the neighbourhood. So on those images the excess of a
network's error and the distance of its outputs are one number, measured twice. On held-out images, whose patches the
machine has not all seen, neither holds.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..analysis.figures.style import BLUE, RED, TIME_LABEL, house_style, new_figure
from ..analysis.statistics import standard_error
from ..provenance import environment
from .denoising import Lazy, compare_denoisers, described

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare_with_machine", "draw_locality_test", "locality_report"]

_NETWORK, _MACHINE = "network", "machine"


def compare_with_machine(
    network: Lazy,
    machine: Lazy,
    splits: Mapping[str, ArrayLike],
    times: ArrayLike,
    *,
    seed: int = 0,
    version: str | None = None,
    folder: str | Path | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> "xr.Dataset":
    """Both on the same noised images of every split, such as ``"training"`` and ``"held-out"``, of equal number.

    The other parameters, what is raised and the variables are those of `compare_denoisers`, with the machine as the
    reference and a dimension ``split`` before the others; ``version`` is the machine's, and ``folder`` gets one folder
    a split.
    """
    import xarray as xr

    parts = []
    for name, images in splits.items():
        kept = None if folder is None else Path(folder) / name
        both = {_NETWORK: network, _MACHINE: machine}
        versions = {} if version is None else {_MACHINE: version}
        parts.append(
            compare_denoisers(
                both, images, times, reference=_MACHINE, seed=seed, versions=versions, folder=kept, progress=progress
            )
        )
    found = xr.concat(parts, dim=xr.Variable("split", list(splits)), combine_attrs="drop")
    run = {"what": "compare_with_machine", "splits": list(splits), "seed": seed, "network": described(network)}
    found.attrs["provenance"] = json.dumps({"run": run, "environment": environment()})
    return found


def locality_report(dataset: "xr.Dataset") -> str:
    """Squared errors, their paired difference and the distance of the outputs, with standard errors; r and R^2."""
    lines = []
    for split in dataset["split"].to_numpy():
        part = dataset.sel(split=split)
        network, machine = (part["mse"].sel(denoiser=name).to_numpy() for name in (_NETWORK, _MACHINE))
        at_network = part.sel(denoiser=_NETWORK)
        distance = at_network["distance"].to_numpy()
        lines += [f"{split} images ({part.sizes['image']}): squared error a pixel (standard error)", ""]
        head = f"{'t':>8}{'network':>18}{'machine':>18}{'network - machine':>22}{'|network - machine|^2':>24}"
        lines.append(f"{head}{'r':>9}{'R^2':>9}")
        for k, t in enumerate(part["time"].to_numpy()):
            cells = [
                f"{_mean(values[k]):>{width}}"
                for values, width in ((network, 18), (machine, 18), (network - machine, 22), (distance, 24))
            ]
            agreement = [f"{np.median(_finite(at_network[name].to_numpy()[k])):9.4f}" for name in ("pearson", "r2")]
            lines.append(f"{t:8.3g}" + "".join(cells) + "".join(agreement))
        lines.append("")
    return "\n".join(lines[:-1])


def draw_locality_test(dataset: "xr.Dataset", title: str) -> Figure:
    """Left: both squared errors; right: their difference and the distance of the outputs; a column of each a split."""
    splits = dataset["split"].to_numpy()
    with house_style():
        figure = new_figure(9.0, 3.2 * len(splits))
        panels = figure.subplots(len(splits), 2, squeeze=False)
        for (left, right), split in zip(panels, splits, strict=True):
            part, times = dataset.sel(split=split), dataset["time"].to_numpy()
            error = part["mse"].mean("image")
            left.plot(times, error.sel(denoiser=_NETWORK), color=BLUE, marker="o", markersize=3.0, label="network")
            left.plot(times, error.sel(denoiser=_MACHINE), color=RED, linestyle="--", label="patch machine")
            excess = (part["mse"].sel(denoiser=_NETWORK) - part["mse"].sel(denoiser=_MACHINE)).to_numpy()
            right.errorbar(
                times, excess.mean(axis=1), standard_error(excess, axis=1),
                color=BLUE, marker="o", markersize=3.0, label="excess of the error",
            )  # fmt: skip
            distance = part["distance"].sel(denoiser=_NETWORK).mean("image")
            right.plot(times, distance, color=RED, linestyle="--", label="squared distance of the outputs")
            left.set(xscale="log", yscale="log", xlabel=TIME_LABEL, ylabel=f"squared error, {split} images")
            right.set(xscale="log", xlabel=TIME_LABEL, ylabel="squared difference a pixel")
            # An error of 1e-16 is none.
            left.set_ylim(bottom=max(1e-5, left.get_ylim()[0]))
            for axes in (left, right):
                axes.invert_xaxis()
                axes.legend()
        figure.suptitle(title, fontsize=10.0)
    return figure


def _mean(values: NDArray[Any]) -> str:
    """Mean and standard error over images, 1e-5 the last digit."""
    return f"{values.mean():.5f} ({standard_error(values):.5f})"


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    found = values[np.isfinite(values)]
    return found if found.size else np.array([np.nan])
