"""Tables and figures of compared denoisers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..analysis.figures.image_wall import draw_image_wall
from ..analysis.figures.style import TIME_LABEL, house_style, new_figure
from ..analysis.statistics import standard_error
from ..process import VPSchedule
from .denoising import crossfitted
from .image_denoisers import SIZES

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["denoiser_report", "draw_denoisers", "draw_ends", "flow_report"]

_ENDS = 10  # end images of a row


def denoiser_report(dataset: "xr.Dataset") -> str:
    """Tables of a comparison: squared error with its standard error, agreement with the reference, cost.

    With two images or more, the patch machines' sizes are chosen by `crossfitted` besides.
    """
    times = dataset["time"].to_numpy()
    error = {str(name): dataset["mse"].sel(denoiser=name).to_numpy() for name in dataset["denoiser"].to_numpy()}
    machines = [name for name in error if name in {f"patches {size}" for size in SIZES}]
    whole = [name for name in machines if np.isfinite(error[name]).all()]
    choice = None
    count = dataset.sizes["image"]
    if len(whole) > 1 and count > 1:
        chosen, choice = crossfitted(dataset, whole)
        error["patches P(t)"] = chosen.to_numpy()
    labels = {name: _counted(name, values[0], count) for name, values in error.items()}
    width = max(map(len, labels.values())) + 2
    lines = [f"squared error a pixel, mean of {count} held-out images (standard error)", ""]
    lines.append(_row("t", [f"{t:.3g}" for t in times], width))
    lines.append(_row("sigma / alpha", [f"{ratio:.3g}" for ratio in _noise_to_signal(dataset)], width))
    for name, values in error.items():
        lines.append(_row(labels[name], [_with_error(at) for at in values], width))
    if choice is not None:
        sizes = ["/".join(sorted({str(name).split()[-1] for name in column})) for column in choice.to_numpy().T]
        lines.append(_row("P(t)", sizes, width))
    for variable in ("pearson", "r2"):
        if variable in dataset:
            lines += ["", f"{dataset[variable].attrs['long_name']}, median over images", ""]
            lines += _medians(dataset[variable], labels, width)
    lines += ["", "median time of an evaluation of one image (s)", ""]
    for name in dataset["denoiser"].to_numpy():
        seconds = dataset["seconds"].sel(denoiser=name).median("image").to_numpy()
        lines.append(_row(labels[str(name)], [f"{s:.2g}" for s in seconds], width))
    return "\n".join(lines)


def flow_report(dataset: "xr.Dataset") -> str:
    """Tables of compared flows: agreement along the reference's, and of the end images, medians over noises."""
    names, count = [str(name) for name in dataset["denoiser"].to_numpy()], dataset.sizes["image"]
    labels = {name: _counted(name, dataset["end_r2"].sel(denoiser=name).to_numpy(), count) for name in names}
    width = max(map(len, labels.values())) + 2
    lines = []
    for variable in ("along_pearson", "along_r2"):
        lines += [f"{dataset[variable].attrs['long_name']}, median over {count} noises", ""]
        lines.append(_row("t", [f"{t:.3g}" for t in dataset["flow_time"].to_numpy()], width))
        lines += [*_medians(dataset[variable], labels, width), ""]
    lines += ["end images from the same noise, median [quartiles]", ""]
    lines.append(_row("", ["Pearson's r", "R^2", "r, other noise"], width, 24))
    for name in names:
        cells = []
        for variable in ("end_pearson", "end_r2", "end_other"):
            values = _finite(dataset[variable].sel(denoiser=name).to_numpy())
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            cells.append(f"{middle:.3f} [{low:.3f}, {high:.3f}]")
        lines.append(_row(labels[name], cells, width, 24))
    return "\n".join(lines)


def draw_denoisers(dataset: "xr.Dataset") -> Figure:
    """Left: squared error relative to the Wiener filter's, or else the first denoiser's; right: Pearson's r.

    Where a denoiser has some of the images only, both of its errors are of those.
    """
    names = [str(name) for name in dataset["denoiser"].to_numpy()]
    baseline = dataset["mse"].sel(denoiser="Wiener" if "Wiener" in names else names[0])
    times = dataset["time"].to_numpy()
    with house_style():
        figure = new_figure(10.0, 5.0)
        panels = figure.subplots(1, 2) if "pearson" in dataset else [figure.subplots()]
        lines = ["-", "--", "-.", ":"]
        colours = mpl.colormaps["turbo"](np.linspace(0.05, 0.95, len(names)))
        for n, name in enumerate(names):
            style: dict[str, Any] = {"linestyle": lines[n % 4], "color": colours[n], "label": name}
            error = dataset["mse"].sel(denoiser=name)
            panels[0].plot(times, error.mean("image") / baseline.where(error.notnull()).mean("image"), **style)
            if "pearson" in dataset:
                panels[1].plot(times, dataset["pearson"].sel(denoiser=name).median("image"), **style)
        panels[0].set(xscale="log", yscale="log", xlabel=TIME_LABEL)
        panels[0].set_ylabel(f"squared error / that of {baseline['denoiser'].item()}")
        # A denoiser that is right everywhere would stretch the axis by tens of decades.
        panels[0].set_ylim(bottom=max(1e-4, panels[0].get_ylim()[0]))
        if "pearson" in dataset:
            panels[1].set(xscale="log", xlabel=TIME_LABEL, ylabel=dataset["pearson"].attrs["long_name"])
        for axes in panels:
            axes.invert_xaxis()
        handles = panels[0].get_legend_handles_labels()[0]
        # Long enough to show how a line is broken.
        figure.legend(handles=handles, loc="outside lower center", ncols=4, handlelength=3.0)
    return figure


def draw_ends(dataset: "xr.Dataset") -> Figure:
    """End images from the first noises, a column each; a row a denoiser, with its median R^2."""
    names = [str(name) for name in dataset["denoiser"].to_numpy()]
    shown = min(_ENDS, dataset.sizes["image"])
    with house_style():
        figure = new_figure(0.72 * shown + 2.0, 0.76 * len(names))
        agreement = [np.median(_finite(dataset["end_r2"].sel(denoiser=name).to_numpy())) for name in names]
        labels = [f"{name}\n$R^2$ = {value:.2f}" for name, value in zip(names, agreement, strict=True)]
        ends = dataset["end"].sel(denoiser=names).transpose("denoiser", "image", "y", "x").to_numpy()
        draw_image_wall(figure.subplots(), ends[:, :shown], row_labels=labels)
    return figure


def _noise_to_signal(dataset: "xr.Dataset") -> NDArray[np.float64]:
    """sigma / alpha; by the default schedule in results that were made before they held both."""
    if "alpha" in dataset.coords:
        return np.asarray(dataset["sigma"] / dataset["alpha"])
    schedule, times = VPSchedule(), dataset["time"].to_numpy()
    return np.asarray(np.sqrt(schedule.sigma2(times)) / schedule.alpha(times))


def _medians(variable: "xr.DataArray", labels: dict[str, str], width: int) -> list[str]:
    lines = []
    for name in variable["denoiser"].to_numpy():
        medians = [np.median(_finite(values)) for values in variable.sel(denoiser=name).to_numpy()]
        lines.append(_row(labels[str(name)], [f"{v:.3f}" for v in medians], width))
    return lines


def _counted(name: str, values: NDArray[Any], count: int) -> str:
    """The name, with the number of images where it is not that of all."""
    found = int(np.isfinite(values).sum())
    return name if found in (0, count) else f"{name} ({found} images)"


def _with_error(values: NDArray[Any]) -> str:
    found = _finite(values)
    return f"{found.mean():.4f}({1e4 * standard_error(found):.0f})"


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    found = values[np.isfinite(values)]
    return found if found.size else np.array([np.nan])


def _row(name: str, cells: Sequence[str], width: int, cell: int = 13) -> str:
    return f"{name:<{width}}" + "".join(f"{value:>{cell}}" for value in cells)
