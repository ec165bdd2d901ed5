"""Size of the kick that guidance gives and response to it, apart."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from .pulse_style import ORANGE, draw_band, pulse_axis
from .style import BLUE, GREY, RED, house_style, new_figure

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["draw_kicks"]

_KICKS = {"guidance": "along $D - D_u$", "random": "along noise of its spectrum"}
_KICKS |= {band: f"along its {band}" for band in ("low band", "high band")}


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
                draw_band(response, position, at, f"{prefix}scan_response", "black", name, linestyle=style)
            for kick, colour in zip(kicks, ("black", GREY, BLUE, ORANGE), strict=False):
                one = at.sel(kick=kick)
                if prefix:
                    equal.plot(sigma, one[f"{prefix}kick_gain"].to_numpy(), color=colour, linestyle=style)
                else:
                    draw_band(equal, sigma, one, "kick_gain", colour, _KICKS.get(kick, kick))
        share.set_ylim(0.0, 1.0)
        share.grid(visible=False)
        share.set_ylabel("low band's share of $|D - D_u|^2$", color=BLUE)
        share.tick_params(axis="y", colors=BLUE)
        share.spines["right"].set(visible=True, color=BLUE)
        force.set_yscale("log")
        force.set_ylabel("RMS over the pixels")
        response.set_ylabel("gain in target logit per RMS displacement")
        equal.set_ylabel(f"gain in target logit by a kick of {dataset.attrs['kick']:g}")
        levels = np.concatenate([sigma, sigma if position is None else position])
        for axes in (force, response, equal):
            pulse_axis(axes, levels)
            axes.set_xlabel(r"noise level $\sigma$")
            if len(beside) > 1:
                axes.plot([], [], color="black", linestyle=(0, (4, 2)), label="dashed: Gaussian null")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)
        equal.axhline(0.0, color=GREY, linewidth=0.8)
        what = "size of the kick and response to it"
        figure.suptitle(f"{title}: {what}" if title else what.capitalize(), fontsize="large")
    return figure
