"""The analytic denoisers of a set of images of +-1, and the table and figure that compare them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..analysis.figures.style import TIME_LABEL, house_style, new_figure
from ..dictionary import PatchDictionary
from ..models import ColocatedPatchModel, EmpiricalModel, GaussianModel, Model, PaddedPatchModel, PatchModel
from ..models.wiener import GaussianPatchModel, WienerModel
from .denoising import crossfitted

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SIZES", "denoiser_report", "draw_denoisers", "image_denoisers"]

# Sides of the patch machines that the size P(t) is chosen from.
SIZES = (3, 5, 7)


def image_denoisers(images: NDArray[np.float32], sizes: Sequence[int] = SIZES) -> dict[str, Callable[[], Model]]:
    """By name, what makes each denoiser from training images (N, L1, L2) of +-1; some take minutes or gigabytes.

    The mean image; the Wiener filters of whole images, of stationary ones and of 5x5 patches; the patch machines of
    all periodic patches; that of zero-padded 5x5 patches (ELS); that of co-located 5x5 patches (LS); all images.
    """
    machines = {f"patches {size}": partial(_machine, images, size) for size in sizes}
    return {
        "mean image": partial(_mean, images),
        "Wiener": partial(WienerModel, images),
        "stationary Wiener": partial(GaussianModel.from_images, images),
        "Gaussian patches 5": partial(GaussianPatchModel, images, 5),
        **machines,
        "padded patches 5": partial(PaddedPatchModel, images, 5),
        "co-located patches 5": partial(ColocatedPatchModel, images, 5),
        "whole images": partial(EmpiricalModel, images),
    }


def _machine(images: NDArray[np.float32], size: int) -> Model:
    return PatchModel(PatchDictionary.from_images(images, size))


def _mean(images: NDArray[np.float32]) -> Model:
    height, width = images.shape[1:]
    return GaussianModel(np.zeros((height, width // 2 + 1)), mean=images.mean(axis=0, dtype=np.float64))


def denoiser_report(dataset: "xr.Dataset") -> str:
    """Tables of a comparison: squared error with its standard error, agreement with the reference, cost."""
    times = dataset["time"].to_numpy()
    error = {name: dataset["mse"].sel(denoiser=name).to_numpy() for name in dataset["denoiser"].to_numpy()}
    machines = [name for name in error if name in {f"patches {size}" for size in SIZES}]
    choice = None
    if len(machines) > 1:
        chosen, choice = crossfitted(dataset, machines)
        error["patches P(t)"] = chosen.to_numpy()
    width = max(map(len, error)) + 2
    sigma = np.sqrt(-np.expm1(-times))
    count = dataset.sizes["image"]
    lines = [f"squared error a pixel, mean of {count} held-out images (standard error)", ""]
    lines.append(_row("t", [f"{t:.3g}" for t in times], width))
    lines.append(_row("sigma / alpha", [f"{s:.3g}" for s in sigma / np.exp(-0.5 * times)], width))
    for name, values in error.items():
        deviation = values.std(axis=1, ddof=1) / np.sqrt(count) if count > 1 else np.full(len(times), np.nan)
        shown = [f"{mean:.4f}({1e4 * by:.0f})" for mean, by in zip(values.mean(axis=1), deviation, strict=True)]
        lines.append(_row(name, shown, width))
    if choice is not None:
        sizes = ["/".join(sorted({str(name).split()[-1] for name in column})) for column in choice.to_numpy().T]
        lines.append(_row("P(t)", sizes, width))
    for variable in ("pearson", "r2"):
        if variable in dataset:
            lines += ["", f"{dataset[variable].attrs['long_name']}, median over images", ""]
            for name in dataset["denoiser"].to_numpy():
                agreement = dataset[variable].sel(denoiser=name).to_numpy()
                medians = [np.median(v[np.isfinite(v)]) if np.isfinite(v).any() else np.nan for v in agreement]
                lines.append(_row(str(name), [f"{v:.3f}" for v in medians], width))
    lines += ["", "median time of an evaluation of one image (s)", ""]
    for name in dataset["denoiser"].to_numpy():
        seconds = dataset["seconds"].sel(denoiser=name).median("image").to_numpy()
        lines.append(_row(str(name), [f"{s:.2g}" for s in seconds], width))
    return "\n".join(lines)


def _row(name: str, cells: list[str], width: int) -> str:
    return f"{name:<{width}}" + "".join(f"{cell:>13}" for cell in cells)


def draw_denoisers(dataset: "xr.Dataset") -> Figure:
    """Left: squared error relative to the Wiener filter's, or else the first denoiser's; right: Pearson's r."""
    names = [str(name) for name in dataset["denoiser"].to_numpy()]
    baseline = "Wiener" if "Wiener" in names else names[0]
    times, error = dataset["time"].to_numpy(), dataset["mse"].mean("image")
    with house_style():
        figure = new_figure(10.0, 4.2)
        panels = figure.subplots(1, 2) if "pearson" in dataset else [figure.subplots()]
        lines = ["-", "--", "-.", ":"]
        for n, name in enumerate(names):
            style: dict[str, Any] = {"linestyle": lines[n % 4], "color": f"C{n % 10}", "label": name}
            panels[0].plot(times, error.sel(denoiser=name) / error.sel(denoiser=baseline), **style)
            if "pearson" in dataset:
                panels[1].plot(times, dataset["pearson"].sel(denoiser=name).median("image"), **style)
        panels[0].set(xscale="log", yscale="log", xlabel=TIME_LABEL, ylabel=f"squared error / that of {baseline}")
        # A denoiser that is right everywhere would stretch the axis by tens of decades.
        panels[0].set_ylim(bottom=max(1e-4, panels[0].get_ylim()[0]))
        if "pearson" in dataset:
            panels[1].set(xscale="log", xlabel=TIME_LABEL, ylabel=dataset["pearson"].attrs["long_name"])
        for axes in panels:
            axes.invert_xaxis()
        panels[-1].legend(fontsize=7.0)
    return figure
