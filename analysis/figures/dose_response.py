"""Effect of a guidance pulse by the noise level at which it is given."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .noise_levels import mark_levels
from .pulse_style import GREEN, METRICS, ORANGE, draw_band, pulse_axis
from .style import BLUE, GREY, PURPLE, RED, house_style, new_figure

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_dose_response"]

# Levels that may be called critical.
_CRITICAL: dict[str, tuple[str, str, Any]] = {
    "sigma_xi_eq": (r"largest $\xi_{\mathrm{eq}}$", PURPLE, (0, (1, 1.2))),
    "sigma_xi_eq_first": (r"first peak of $\xi_{\mathrm{eq}}$", ORANGE, (0, (1, 1.2))),
    "sigma_xi_x": (r"fastest growth of $\xi_x$", GREEN, (0, (1, 1.2))),
}


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
        for axes, metric in zip(panels, METRICS, strict=False):
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
                draw_band(axes, sigma, at, "null_scan_gain", PURPLE, "Gaussian null", linestyle=(0, (4, 2)))
            _draw_critical(axes, at)
            mark_levels([axes], dataset, _critical_marks(dataset))
            axes.axhline(0.0, color=GREY, linewidth=0.8)
            axes.set_xlabel(r"noise level $\sigma$ of the pulse  (reverse run: left to right)")
            axes.set_ylabel(f"gain in {METRICS[metric]} over no guidance")
        for axes in panels:
            pulse_axis(axes, sigma)
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
            draw_band(
                axes, at["kick_sigma"].to_numpy(), at, f"{prefix}class_information", colour, label, linestyle=style
            )
    axes.set_yscale("log")
    axes.set_xlabel(r"noise level $\sigma$")
    axes.set_ylabel("class information per octave (nats)")
    axes.legend(loc="upper left")


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
