"""The guidance-pulse experiment: the paper's Figure 4, the dose-response curve, and the gain of every condition."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .noise_levels import mark_levels
from .samples import draw_image
from .style import BLUE, GREY, PURPLE, RED, house_style, new_figure, shown_level

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_condition_gains", "draw_dose_response", "draw_kicks", "draw_pulse_figure"]

_GREEN, _ORANGE = "#009E73", "#D98200"
_CONTROLS = {
    "random": ("random centre, uniform in $\\sigma$ (the paper's)", BLUE, "o"),
    "step-matched": ("random position, as many evaluations", RED, "s"),
    "log-uniform": ("random centre, uniform in $\\log\\sigma$", _GREEN, "^"),
}
_KICKS = {"guidance": "along $D - D_u$", "random": "along noise of its spectrum"}
_KICKS |= {band: f"along its {band}" for band in ("low band", "high band")}
_METRICS = {"logit": "target logit", "probability": "target probability"}
_LEVEL = 0.05

# Levels that may be called critical.
_CRITICAL: dict[str, tuple[str, str, Any]] = {
    "sigma_xi_eq": (r"largest $\xi_{\mathrm{eq}}$", PURPLE, (0, (1, 1.2))),
    "sigma_xi_eq_first": (r"first peak of $\xi_{\mathrm{eq}}$", _ORANGE, (0, (1, 1.2))),
    "sigma_xi_x": (r"fastest growth of $\xi_x$", _GREEN, (0, (1, 1.2))),
}


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
        for axes, metric in zip(panels, _METRICS, strict=True):
            _draw_differences(axes, dataset.sel(metric=metric), metric, null=null)
        below.legend(handles=panels[0].get_legend_handles_labels()[0], loc="outside lower center", ncols=3)
        if title:
            figure.suptitle(title, fontsize="large")
    return figure


def draw_dose_response(dataset: "xr.Dataset", title: str | None = None, *, null: bool = True) -> Figure:
    """Gain in target logit and probability over no guidance, against the noise level at which the pulse acts.

    Black: mean over classes and trials with its 95 % interval, which resamples both; grey: single classes; blue: the
    mean over the dose of each pulse, at the height of the black curve. The red point is the critical pulse with its
    window; sigma_c and other levels that may be called critical are marked where the result has them. Dashed, with its
    interval: the same of class-conditional Gaussians, where the result has it and ``null`` asks for it. On the right,
    where the result has it: the class information that is decided in an octave of the noise level.
    """
    sigma, doses = dataset["position_sigma"].to_numpy(), dataset["position_dose"].to_numpy()
    informed = "class_information" in dataset
    with house_style():
        figure = new_figure(13.2 if informed else 9.6, 4.3)
        panels = figure.subplots(1, 3 if informed else 2)
        if informed:
            _draw_information(panels[2], dataset, null=null)
        for axes, metric in zip(panels, _METRICS, strict=False):
            at = dataset.sel(metric=metric)
            lines = axes.plot(sigma, at["scan_gain_by_class"].to_numpy(), color=GREY, alpha=0.45, linewidth=0.8)
            lines[0].set_label("single classes")
            axes.fill_between(
                sigma, at["scan_gain_low"].to_numpy(), at["scan_gain_high"].to_numpy(), color="black", alpha=0.18,
                linewidth=0.0,
            )  # fmt: skip
            gain = at["scan_gain"].to_numpy()
            axes.plot(sigma, gain, color="black", marker=".", label="mean, 95 % interval")
            if (gain / doses).max() > 0.0:
                relative = gain / doses * (gain.max() / (gain / doses).max())
                axes.plot(sigma, relative, color=BLUE, linestyle=(0, (1, 1.2)), label="mean per dose, rescaled")
            if null and "null_scan_gain" in at:
                _draw_band(axes, sigma, at, "null_scan_gain", PURPLE, "Gaussian null", linestyle=(0, (4, 2)))
            _draw_critical(axes, at)
            mark_levels([axes], dataset, _critical_marks(dataset))
            axes.axhline(0.0, color=GREY, linewidth=0.8)
            axes.set_xlabel(r"noise level $\sigma$ of the pulse  (reverse run: left to right)")
            axes.set_ylabel(f"gain in {_METRICS[metric]} over no guidance")
        for axes in panels:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set_xlim(1.1 * sigma.max(), sigma.min() / 1.1)
        handles = panels[0].get_legend_handles_labels()[0]
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
        count = np.unique(dataset["position_evaluations"].to_numpy())
        each = f"{count[0]}" if len(count) == 1 else f"{count[0]} to {count[-1]}"
        what = f"what a pulse of {each} guided evaluations does, by its position"
        figure.suptitle(f"{title}: {what}" if title else what.capitalize(), fontsize="large")
    return figure


def _draw_information(axes: Axes, dataset: "xr.Dataset", *, null: bool) -> None:
    """Class information an octave, with how it goes with the gain in logit over the noise levels."""
    at = dataset.sel(metric="logit")
    for prefix, name, colour, style in (("", "network", "black", "-"), ("null_", "Gaussian null", PURPLE, (0, (4, 2)))):
        if f"{prefix}class_information" in at and (null or not prefix):
            r = float(at[f"{prefix}information_correlation"])
            label = f"{name}, r = {r:.2f} with its gain in logit"
            _draw_band(
                axes, at["kick_sigma"].to_numpy(), at, f"{prefix}class_information", colour, label, linestyle=style
            )
    axes.set_yscale("log")
    axes.set_xlabel(r"noise level $\sigma$")
    axes.set_ylabel("class information per octave (nats)")
    axes.legend(loc="upper left")


def draw_kicks(dataset: "xr.Dataset", title: str | None = None, *, null: bool = True) -> Figure:
    """Size of the kick and response to it, apart, against the noise level.

    Left: RMS of D - D_u and of the displacement that each pulse makes, and the share of the low band in |D - D_u|^2.
    Middle: gain in target logit per unit of displacement. Right: gain by kicks of one size, along the guidance, noise
    of its spectrum, and bands of it. Means over classes and trials with 95 % intervals; dashed, on the right without
    them: the Gaussian null.
    """
    sigma, kicks = dataset["kick_sigma"].to_numpy(), dataset["kick"].to_numpy().tolist()
    position = dataset["position_sigma"].to_numpy() if "scan_displacement" in dataset else None
    at = dataset.sel(metric="logit")
    beside = [""] + (["null_"] if null and "null_kick_gain" in dataset else [])
    with house_style():
        figure = new_figure(12.5, 4.3)
        force, response, equal = figure.subplots(1, 3)
        share = force.twinx()
        for prefix in beside:
            dashed: Any = {"linestyle": (0, (4, 2)), "label": "_"} if prefix else {}
            mean = dataset[f"{prefix}kick_difference"].sel(kick="guidance").mean(("class_label", "trial"))
            force.plot(sigma, mean.to_numpy(), **{"color": "black", "label": "$|D - D_u|$", **dashed})
            low = dataset[f"{prefix}kick_low_share"].sel(kick="guidance").mean(("class_label", "trial"))
            style = dashed.get("linestyle", "-")
            share.plot(sigma, low.to_numpy(), color=BLUE, linestyle=style)
            if position is not None:
                moved = dataset[f"{prefix}scan_displacement"].mean(("class_label", "trial")).to_numpy()
                force.plot(position, moved, **{"color": RED, "label": "displacement by a pulse", **dashed})
                name = "_" if prefix else "a pulse"
                _draw_band(response, position, at, f"{prefix}scan_response", "black", name, linestyle=style)
            for kick, colour in zip(kicks, ("black", GREY, BLUE, _ORANGE), strict=False):
                one = at.sel(kick=kick)
                if prefix:
                    equal.plot(sigma, one[f"{prefix}kick_gain"].to_numpy(), color=colour, linestyle=style)
                else:
                    _draw_band(equal, sigma, one, "kick_gain", colour, _KICKS.get(kick, kick))
        share.set_ylim(0.0, 1.0)
        share.grid(visible=False)
        share.set_ylabel("low band's share of $|D - D_u|^2$", color=BLUE)
        share.tick_params(axis="y", colors=BLUE)
        share.spines["right"].set(visible=True, color=BLUE)
        force.set_yscale("log")
        force.set_ylabel("RMS over the pixels")
        response.set_ylabel("gain in target logit per RMS displacement")
        equal.set_ylabel(f"gain in target logit by a kick of {dataset.attrs['kick']:g}")
        ends = np.concatenate([sigma, sigma if position is None else position])
        for axes in (force, response, equal):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set_xlim(1.1 * ends.max(), ends.min() / 1.1)
            axes.set_xlabel(r"noise level $\sigma$")
            if len(beside) > 1:
                axes.plot([], [], color="black", linestyle=(0, (4, 2)), label="dashed: Gaussian null")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
        equal.axhline(0.0, color=GREY, linewidth=0.8)
        what = "size of the kick and response to it"
        figure.suptitle(f"{title}: {what}" if title else what.capitalize(), fontsize="large")
    return figure


def _draw_band(
    axes: Axes, x: NDArray[Any], at: "xr.Dataset", name: str, colour: str, label: str, linestyle: Any = "-"
) -> None:
    """A curve with the band between its bounds."""
    axes.fill_between(
        x, at[f"{name}_low"].to_numpy(), at[f"{name}_high"].to_numpy(), color=colour, alpha=0.12, linewidth=0.0
    )
    axes.plot(x, at[name].to_numpy(), color=colour, linestyle=linestyle, label=label)


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
        for axes, metric in zip(panels, _METRICS, strict=True):
            at = dataset.sel(metric=metric, condition=names)
            for number, (prefix, label, colour, marker) in enumerate(series):
                mean, *ends = (at[f"{prefix}gain_overall{end}"].to_numpy() for end in ("", "_low", "_high"))
                lower = rows - 0.22 * number
                axes.hlines(lower, *ends, color=colour, linewidth=1.4)
                axes.plot(mean, lower, color=colour, marker=marker, markersize=4.5, linestyle="none", label=label)
            axes.axvline(0.0, color=GREY, linewidth=0.8)
            axes.set_xlabel(f"gain in {_METRICS[metric]} over no guidance")
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
                draw_image(axes, image)
                if inside and text == "pulse":
                    axes.spines[:].set(color=RED, linewidth=2.0)
            row[0].set_ylabel(text, fontsize="small")
        pair[0, 0].set_ylabel(f"{names[index]}\n{reason}\nno pulse", fontsize="small")
    for axes, level in zip(grid[0], sigma, strict=True):
        axes.set_title(rf"$\sigma$ = {shown_level(level)}", fontsize="small")


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
    axes.set_ylabel(f"critical minus control, {_METRICS[metric]}")


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


def _critical_marks(dataset: "xr.Dataset") -> dict[str, tuple[str, str, Any]]:
    """sigma_c, with the name of the level that it is, and the other levels."""
    same = [label for name, (label, _, _) in _CRITICAL.items() if dataset.attrs.get(name) == dataset.attrs["sigma_c"]]
    return {"sigma_c": (", ".join([r"$\sigma_c$", *same[:1]]), GREY, (0, (4, 3))), **_CRITICAL}


def _draw_critical(axes: Axes, at: "xr.Dataset") -> None:
    sigma_c, half_width, middle = (at.attrs[name] for name in ("sigma_c", "half_width", "critical_sigma"))
    one = at.sel(condition="critical")
    gain, low, high = (float(one[f"gain_overall{end}"]) for end in ("", "_low", "_high"))
    lowest = max(sigma_c - half_width, float(at["position_sigma"].min()) / 1.1)
    axes.plot([sigma_c + half_width, lowest], [gain, gain], color=RED, linewidth=1.0)
    axes.plot([middle, middle], [low, high], color=RED, linewidth=1.4)
    axes.plot(middle, gain, color=RED, marker="D", markersize=5.0, linewidth=1.0, label="critical pulse and its window")
