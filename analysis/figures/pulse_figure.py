"""The paper's Figure 4: what the critical pulse does, beside fair controls; and the gain of every condition."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .pulse_style import GREEN, METRICS
from .style import BLUE, GREY, PURPLE, RED, frame, house_style, new_figure, shown_level

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_condition_gains", "draw_pulse_figure"]

_CONTROLS = {
    "random": ("random centre, uniform in $\\sigma$ (the paper's)", BLUE, "o"),
    "step-matched": ("random position, as many evaluations", RED, "s"),
    "log-uniform": ("random centre, uniform in $\\log\\sigma$", GREEN, "^"),
}
_LEVEL = 0.05


def draw_pulse_figure(dataset: "xr.Dataset", title: str | None = None, *, null: bool = True) -> Figure:
    """Figure 4 from a result of `fastpatch.neural.pulse`.

    A: denoised images of the first trial of two classes, without and with the critical pulse: the one whose target
    logit gains most, and the one whose gain is the median; frames mark the levels that are guided. B: critical minus
    control for each class and over all, with bootstrap intervals; filled where the test is significant. Beside those
    over all, where the result has it and ``null`` asks for it, the same of class-conditional Gaussians.
    """
    with house_style():
        figure = new_figure(10.0, 7.4)
        above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[1.0, 1.05]))
        _draw_strips(above, dataset)
        for part, letter in ((above, "A"), (below, "B")):
            part.text(0.004, 0.985, letter, fontsize="x-large", fontweight="bold", va="top")
        panels = below.subplots(1, 2)
        for axes, metric in zip(panels, METRICS, strict=True):
            _draw_differences(axes, dataset.sel(metric=metric), metric, null=null)
        below.legend(handles=panels[0].get_legend_handles_labels()[0], loc="outside lower center", ncols=3)
        if title:
            figure.suptitle(title, fontsize="large")
    return figure


def draw_condition_gains(dataset: "xr.Dataset", title: str | None = None, *, null: bool = True) -> Figure:
    """Gain of every condition over no guidance, mean over classes and trials with its 95 % interval.

    Below each, where the result has them: what a second classifier says of the same samples, and the Gaussian null.
    """
    names = [name for name in dataset["condition"].to_numpy().tolist() if name != "unguided"]
    rows = np.arange(len(names))[::-1]
    with house_style():
        series = [("", "network", "black", "o")]
        if "second_gain_overall" in dataset:
            series.append(("second_", f"network, judged by the {dataset.attrs['second_classifier']}", GREY, "s"))
        if null and "null_gain_overall" in dataset:
            series.append(("null_", "Gaussian null", PURPLE, "^"))
        figure = new_figure(9.0, 1.2 + (0.3 + 0.1 * len(series)) * len(names))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, metric in zip(panels, METRICS, strict=True):
            at = dataset.sel(metric=metric, condition=names)
            for number, (prefix, label, colour, marker) in enumerate(series):
                mean, *ends = (at[f"{prefix}gain_overall{end}"].to_numpy() for end in ("", "_low", "_high"))
                lower = rows - 0.22 * number
                axes.hlines(lower, *ends, color=colour, linewidth=1.4)
                axes.plot(mean, lower, color=colour, marker=marker, markersize=4.5, linestyle="none", label=label)
            axes.axvline(0.0, color=GREY, linewidth=0.8)
            axes.set_xlabel(f"gain in {METRICS[metric]} over no guidance")
        evaluations = dataset["guided_evaluations"].sel(condition=names).mean(("class_label", "trial")).to_numpy()
        panels[0].set_yticks(rows, [f"{name} ({count:.3g})" for name, count in zip(names, evaluations, strict=True)])
        panels[0].set_ylabel("condition (guided evaluations)")
        if len(series) > 1:
            handles = panels[0].get_legend_handles_labels()[0]
            figure.legend(handles=handles, loc="outside lower center", ncols=len(series))
        figure.suptitle(f"{title}: gain of each condition" if title else "Gain of each condition", fontsize="large")
    return figure


def _draw_strips(figure: Any, dataset: "xr.Dataset") -> None:
    strips, sigma = dataset["strip"].to_numpy(), dataset["strip_sigma"].to_numpy()
    scores = dataset["score"].sel(metric="logit").isel(trial=0)
    gains = (scores.sel(condition="critical") - scores.sel(condition="unguided")).to_numpy()
    order = np.argsort(-gains, kind="stable")
    chosen = {int(order[0]): "largest gain"}
    chosen.setdefault(int(order[len(order) // 2]), "median gain")
    window = np.abs(sigma - dataset.attrs["sigma_c"]) <= dataset.attrs["half_width"]
    grid = np.asarray(figure.subplots(2 * len(chosen), len(sigma), squeeze=False))
    names = dataset["class_name"].to_numpy()
    for pair, (index, reason) in zip(grid.reshape(len(chosen), 2, -1), chosen.items(), strict=True):
        for row, images, text in zip(pair, strips[:, index], ("no pulse", "pulse"), strict=True):
            for axes, image, inside in zip(row, images, window, strict=True):
                _draw_image(axes, image)
                if inside and text == "pulse":
                    axes.spines[:].set(color=RED, linewidth=2.0)
            row[0].set_ylabel(text, fontsize="small")
        pair[0, 0].set_ylabel(f"{names[index]}\n{reason}\nno pulse", fontsize="small")
    for axes, level in zip(grid[0], sigma, strict=True):
        axes.set_title(rf"$\sigma$ = {shown_level(level)}", fontsize="small")


def _draw_image(axes: Axes, field: NDArray[Any]) -> None:
    """A field (H, W) or (1, H, W) in grey, or (3, H, W) in colour, from -1 to 1."""
    if field.ndim == 3 and len(field) == 3:
        axes.imshow(np.clip(0.5 + 0.5 * np.moveaxis(field, 0, -1), 0.0, 1.0), interpolation="nearest")
    else:
        axes.imshow(field.reshape(field.shape[-2:]), cmap="gray", vmin=-1.0, vmax=1.0, interpolation="nearest")
    frame(axes)


def _draw_differences(axes: Axes, at: "xr.Dataset", metric: str, *, null: bool) -> None:
    shown = [name for name in _CONTROLS if name in at["condition"].to_numpy()]
    names = at["class_name"].to_numpy().tolist()
    beside = null and "null_advantage_overall" in at
    places = np.append(np.arange(len(names), dtype=float), len(names) + 0.5)
    for number, name in enumerate(shown):
        label, colour, marker = _CONTROLS[name]
        one = at.sel(condition=name)
        columns = [
            np.append(one[f"advantage_{by_class}"].to_numpy(), float(one[f"advantage_{overall}"]))
            for by_class, overall in (
                ("mean", "overall"), ("low", "overall_low"), ("high", "overall_high"), ("p_holm", "overall_p"),
            )
        ]  # fmt: skip
        x = places + 0.22 * (number - (len(shown) - 1) / 2)
        _draw_points(axes, x, *columns, colour=colour, marker=marker)
        axes.plot([], [], color=colour, marker=marker, markersize=4.5, linewidth=1.0, label=f"minus {label}")
        if beside:
            ends = [np.array([float(one[f"null_advantage_overall{end}"])]) for end in ("", "_low", "_high", "_p")]
            _draw_points(axes, x[-1:] + 1.0, *ends, colour=PURPLE, marker=marker)
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.axvline(len(names) - 0.25, color=GREY, linewidth=0.6)
    ticks = [*names, "all"]
    if beside:
        places, ticks = np.append(places, places[-1] + 1.0), [*ticks, "all, Gaussian null"]
    axes.set_xticks(places, ticks, rotation=35, ha="right", rotation_mode="anchor")
    axes.grid(visible=False, axis="x")
    axes.set_ylabel(f"critical minus control, {METRICS[metric]}")


def _draw_points(
    axes: Axes,
    x: NDArray[Any],
    mean: NDArray[Any],
    low: NDArray[Any],
    high: NDArray[Any],
    p: NDArray[Any],
    *,
    colour: str,
    marker: str,
) -> None:
    axes.vlines(x, low, high, color=colour, linewidth=1.0)
    for at, value, significant in zip(x, mean, p < _LEVEL, strict=True):
        face = colour if significant else "white"
        axes.plot(at, value, color=colour, marker=marker, markersize=4.5, markerfacecolor=face)
