"""The scaling studies, one figure each."""

from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..analysis.figures.dynamics import NULL_LINE
from ..analysis.figures.style import BLUE, GREY, PURPLE, RED, house_style, new_figure, save_figure
from . import Collapse, Curve, FiniteSize, Measured, PowerLaw, PriorMass, QuenchRate, Study
from .report import shown, shown_exponent

__all__ = ["draw_scaling", "save_scaling"]

_FILES = {FiniteSize: "finite_size.png", QuenchRate: "quench_rate.png", PriorMass: "prior_mass.png"}
_MARKERS = ("o", "s", "^", "D", "v", "P")


def save_scaling(study: Study, directory: str | Path, title: str | None = None) -> Path:
    """Draw a study into ``directory`` as finite_size.png, quench_rate.png or prior_mass.png; its path.

    Raises `OutputError` where it cannot be written.
    """
    path = Path(directory, _FILES[type(study)])
    save_figure(draw_scaling(study, title), path)
    return path


@singledispatch
def draw_scaling(study: object, title: str | None = None) -> Figure:
    """The figure of a study of `scaling_study`; bars are 95 % bootstrap intervals. `TypeError` for anything else."""
    raise TypeError(f"study is a {type(study).__name__}; expected a result of scaling_study")


@draw_scaling.register
def _(study: FiniteSize, title: str | None = None) -> Figure:
    with house_style():
        figure = new_figure(9.6, 7.2)
        (times, lengths), (plain, scaled) = figure.subplots(2, 2)
        _points(times, study.L, [one.zero_time for one in study.observables], BLUE, "o", r"zero of $\lambda_0$")
        _points(times, study.L, [one.peak_time for one in study.observables], RED, "s", r"peak of $\xi_{\mathrm{eq}}$")
        _shift(times, study)
        times.set_ylabel("diffusion time $t$")
        times.set_title("Critical time")
        for name, colour, marker, label in (
            ("peak_height", RED, "s", r"peak of $\xi_{\mathrm{eq}}$"),
            ("final_length", BLUE, "o", r"final $\xi_x$"),
        ):
            _points(lengths, study.L, [getattr(one, name) for one in study.observables], colour, marker, label)
            _law(lengths, study.L, getattr(study, name), colour)
        lengths.set_yscale("log")
        lengths.set_ylabel("length (sites)")
        lengths.set_title("Lengths")
        for axes in (times, lengths):
            _sides(axes, study.L)
            axes.margins(y=0.2)
            axes.legend(ncols=2, loc="upper right")
        _curves(plain, study.curves)
        _collapsed(scaled, study.curves, study.collapse)
        if title:
            figure.suptitle(title, fontsize="large")
    return figure


@draw_scaling.register
def _(study: QuenchRate, title: str | None = None) -> Figure:
    with house_style():
        figure = new_figure(9.6, 4.0)
        lengths, times = figure.subplots(1, 2)
        colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, len(study.laws)))
        for number, (beta, colour) in enumerate(zip(study.laws, colours, strict=True)):
            # Equal rates stand side by side.
            aside = 1.05 ** (number - 0.5 * (len(study.laws) - 1))
            own = [k for k, quench in enumerate(study.quenches) if quench.beta == beta]
            rates, marker = study.rates[own], _MARKERS[number % len(_MARKERS)]
            law = study.laws[beta]
            label = rf"$\beta$ = {beta:g}"
            if np.isfinite(law.exponent.value):
                label += rf": $\xi_x \sim v^b$, $b$ = {shown(law.exponent)}"
            else:
                label += ": no exponent"
            final, zero = ([measured[k] for k in own] for measured in (study.final_length, study.zero_time))
            _points(lengths, aside * rates, final, colour, marker, label)
            _law(lengths, rates, law, colour)
            scaled = [Measured(beta * one.value, beta * one.resampled, one.count) for one in zero]
            _points(times, aside * rates, scaled, colour, marker, rf"$\beta$ = {beta:g}")
        lengths.set_yscale("log")
        _plain_ticks(lengths.yaxis)
        lengths.set_ylabel(r"final $\xi_x$ (sites), median")
        lengths.set_title(r"Final correlation length")
        times.set_ylabel(r"$\beta t$ of the zero of $\lambda_0$")
        times.set_title("Critical time")
        for axes in (lengths, times):
            axes.set_xscale("log")
            _plain_ticks(axes.xaxis, (1.0, 2.0, 5.0))
            axes.set_xlabel(r"rate of the quench $v = -d\log t\,/\,dn$ (1 / step)")
        figure.legend(handles=lengths.get_legend_handles_labels()[0], loc="outside lower center", ncols=3)
        if title:
            figure.suptitle(title, fontsize="large")
    return figure


@draw_scaling.register
def _(study: PriorMass, title: str | None = None) -> Figure:
    masses, dictionaries = (np.array(column) for column in zip(*study.keys, strict=True))
    styles: dict[str, tuple[Any, Any, str]] = {
        "closure": ("black", "-", "drift, Gaussian closure"),
        "renormalised": (RED, "-", "drift, renormalised by white noise"),
        "drift": (RED, (0, (4, 2)), "drift at $x = 0$"),
        "score": (GREY, (0, (7, 2, 1.5, 2)), "score, another condition"),
        "null": (PURPLE, NULL_LINE, "Gaussian null: no transition"),
    }
    with house_style():
        figure = new_figure(9.6, 4.8)
        times, deviations = figure.subplots(1, 2)
        each = [
            (dictionary, np.flatnonzero(dictionaries == dictionary), _MARKERS[number % len(_MARKERS)])
            for number, dictionary in enumerate(np.unique(dictionaries))
        ]
        for dictionary, own, marker in each:
            zeros = [study.zero_time[int(k)] for k in own]
            _points(times, masses[own], zeros, BLUE, marker, f"measured, dictionary {dictionary}")
        for number, (_, own, marker) in enumerate(each):
            for name, (colour, line, label) in styles.items():
                look = {"color": colour, "linestyle": line, "linewidth": 1.0}
                first = label if number == 0 else None
                # The marker says of which dictionary a prediction is.
                times.plot(masses[own], study.predictions[name][own], marker=marker, markersize=2, label=first, **look)
                part = 100.0 * study.deviation(name)[own]
                deviations.plot(masses[own], part, marker=marker, markersize=4, **look)
        times.set_ylabel(r"$t$ of the zero of $\lambda_0$")
        times.set_title("Zero of $\\lambda_0$: measured (blue) and predicted")
        deviations.axhline(0.0, color=GREY, linewidth=0.8)
        deviations.set_ylabel("measured over predicted, less one (%)")
        deviations.set_title("Distance from each prediction")
        for axes in (times, deviations):
            axes.set_xlabel("prior mass of the uniform patterns")
        figure.legend(handles=times.get_legend_handles_labels()[0], loc="outside lower center", ncols=3)
        if title:
            figure.suptitle(title, fontsize="large")
    return figure


def _points(axes: Axes, x: Any, measured: Sequence[Measured], colour: Any, marker: str, label: str) -> None:
    """Values with their intervals."""
    values = np.array([one.value for one in measured])
    # A percentile interval need not hold the value itself.
    low, high = np.array([one.interval for one in measured]).reshape(-1, 2).T
    axes.vlines(x, low, high, color=colour, linewidth=1.1)
    axes.plot(x, values, color=colour, marker=marker, markersize=4.5, linestyle="none", label=label)


def _law(axes: Axes, x: Any, law: PowerLaw, colour: Any) -> None:
    """The fitted power law, if there is one."""
    if np.isfinite(law.exponent.value):
        along = np.geomspace(np.min(x), np.max(x), 50)
        axes.plot(along, law.amplitude * along**law.exponent.value, color=colour, linewidth=1.0)


def _shift(axes: Axes, study: FiniteSize) -> None:
    """The fitted shift with L, or the constant where there is none."""
    shift = study.shift
    if shift.reason or all(shift.open_ends):
        if np.isfinite(shift.mean.value):
            axes.axhline(shift.mean.value, color=BLUE, linestyle=(0, (4, 3)), linewidth=1.0, label="mean; no exponent")
        return
    along = np.geomspace(study.L.min(), study.L.max(), 100)
    curve = shift.limit.value + shift.amplitude.value * along**-shift.inverse_nu.value
    axes.plot(along, curve, color=BLUE, linewidth=1.0, label=rf"$1/\nu$ = {shown_exponent(shift)}")


def _curves(axes: Axes, curves: Sequence[Curve]) -> None:
    for curve, colour in zip(curves, _colours(curves), strict=True):
        axes.plot(curve.times, curve.values, color=colour, label=f"$L$ = {curve.L:g}")
    axes.set_xlabel("diffusion time $t$")
    axes.set_ylabel(r"$\xi_{\mathrm{eq}}$ (sites), median")
    axes.set_yscale("log")
    axes.set_title(r"$\xi_{\mathrm{eq}}$ above the zero of $\lambda_0$")
    _plain_ticks(axes.yaxis)
    if curves:
        axes.legend(ncols=2)


def _collapsed(axes: Axes, curves: Sequence[Curve], collapse: Collapse | None) -> None:
    if collapse is None or np.isnan(collapse.best[0]):
        axes.text(0.5, 0.5, "nothing to collapse", ha="center", va="center", color=GREY, transform=axes.transAxes)
        axes.set_axis_off()
        return
    t_c, inverse_nu = collapse.best
    for curve, colour in zip(curves, _colours(curves), strict=True):
        x = (curve.times - t_c) * curve.L**inverse_nu
        axes.plot(x, curve.values / curve.L, color=colour, marker=".", markersize=4, linewidth=0.8)
    # Numbers belong to a collapse; without one these are the axes on which the curves are least apart.
    chosen = "" if collapse.reason else rf",  $t_c$ = {t_c:.3g},  $1/\nu$ = {inverse_nu:.3g}"
    axes.set_xlabel(rf"$(t - t_c)\,L^{{1/\nu}}${chosen}")
    axes.set_ylabel(r"$\xi_{\mathrm{eq}} / L$")
    axes.set_xscale("symlog")
    axes.set_yscale("log")
    _plain_ticks(axes.yaxis)
    found = (
        f"no collapse: {collapse.reason}" if collapse.reason else rf"collapse, $1/\nu$ = {shown(collapse.inverse_nu)}"
    )
    axes.set_title(f"{found}\n$S$ = {collapse.measure:.2g}; not scaled, {collapse.unscaled:.2g}")


def _colours(curves: Sequence[Curve]) -> Any:
    return mpl.colormaps["viridis"](np.linspace(0.0, 0.9, max(len(curves), 1)))[: len(curves)]


def _sides(axes: Axes, L: Any) -> None:
    axes.set_xscale("log")
    axes.set_xticks(L, [f"{side:g}" for side in L])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("side of the lattice $L$ (sites)")
    if axes.get_yscale() == "log":
        _plain_ticks(axes.yaxis)


def _plain_ticks(axis: Axis, subs: Sequence[float] = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)) -> None:
    """Numbers, rather than powers of ten, on a logarithmic axis of little range."""
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
