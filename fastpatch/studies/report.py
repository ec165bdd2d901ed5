"""Scaling studies as short text."""

from functools import singledispatch

import numpy as np

from .finite_size import FiniteSize
from .measured import Measured
from .power_law import PowerLaw
from .prior_mass import PRINTED_CONDITIONS, PriorMass
from .quench import QuenchRate

__all__ = ["scaling_report", "shown"]


@singledispatch
def scaling_report(study: object) -> str:
    """A study of `scaling_study` as an aligned table and what its fits say; `TypeError` for anything else."""
    raise TypeError(f"study is a {type(study).__name__}; expected a result of scaling_study")


@scaling_report.register
def _(study: FiniteSize) -> str:
    lines = [f"{'L':>6}{'lambda_0 = 0 at t':>26}{'xi_eq peak at t':>26}{'peak (sites)':>26}{'final xi_x (sites)':>26}"]
    for side, one in zip(study.L, study.observables, strict=True):
        columns = (one.zero_time, one.peak_time, one.peak_height, one.final_length)
        lines.append(
            f"{side:6.0f}" + "".join(shown(m).rjust(w) for m, w in zip(columns, (26, 26, 24, 24), strict=True))
        )
    shift = study.shift
    if shift.reason:
        lines.append(f"t_c(L): {shift.reason}; mean t_c = {shown(shift.mean)}; no exponent")
    else:
        lines.append(
            f"t_c(L) = t_c(inf) + a L^(-1/nu): t_c(inf) = {shown(shift.limit)}, 1/nu = {shown(shift.inverse_nu)}"
        )
    lines.append(_law("xi_eq peak ~ L^b", study.peak_height))
    share = float(np.mean([one.cut_off for one in study.observables]))
    if share >= 0.5:
        lines.append("  the peak is the last record before the zero: the spacing of records sets it, not the size")
    lines.append(_law("final xi_x ~ L^b", study.final_length))
    collapse = study.collapse
    if collapse is None:
        lines.append("collapse of xi_eq / L: fewer than three sizes")
    elif collapse.reason:
        lines.append(f"collapse of xi_eq / L: {collapse.reason}; S = {collapse.measure:.3g}")
    else:
        lines.append(
            f"collapse of xi_eq / L: t_c = {shown(collapse.t_c)}, 1/nu = {shown(collapse.inverse_nu)}, "
            f"S = {collapse.measure:.3g}"
        )
    if collapse is not None:
        lines.append(f"  xi_eq itself against t, unscaled: S = {collapse.unscaled:.3g} (1: no dependence on L)")
    return "\n".join(lines)


@scaling_report.register
def _(study: QuenchRate) -> str:
    lines = [f"{'beta':>8}{'steps':>8}{'v (1/step)':>12}{'lambda_0 = 0 at beta t':>28}{'final xi_x (sites)':>26}"]
    for quench, zero, final in zip(study.quenches, study.zero_time, study.final_length, strict=True):
        scaled = Measured(quench.beta * zero.value, quench.beta * zero.resampled)
        lines.append(f"{quench.beta:8.3g}{quench.steps:8d}{quench.rate:12.4g}{shown(scaled):>28}{shown(final):>26}")
    for beta, law in study.laws.items():
        lines.append(_law(f"final xi_x ~ v^b, beta = {beta:g}", law))
        lines.append(_law("  its slower half", study.slow[beta]))
    return "\n".join(lines)


@scaling_report.register
def _(study: PriorMass) -> str:
    lines = [
        f"{'mass':>8}{'dictionary':>12}{'lambda_0 = 0 at t':>28}" + "".join(f"{c:>14}" for c in PRINTED_CONDITIONS)
    ]
    for index, ((mass, dictionary), zero) in enumerate(zip(study.keys, study.zero_time, strict=True)):
        predicted = "".join(_number(study.predictions[c][index]).rjust(14) for c in PRINTED_CONDITIONS)
        lines.append(f"{mass:8.3g}{dictionary:12d}{shown(zero):>28}{predicted}")
    for condition in PRINTED_CONDITIONS:
        deviation = study.deviation(condition)
        known = deviation[np.isfinite(deviation)]
        if known.size:
            rms, worst = np.sqrt(np.mean(known**2)), known[np.argmax(np.abs(known))]
            lines.append(f"measured over {condition} less one: rms {rms:.2%}, largest {worst:+.2%}, of {known.size}")
    return "\n".join(lines)


def shown(measured: Measured) -> str:
    """A value with its 95 % interval."""
    low, high = measured.interval
    return _number(measured.value) + ("" if np.isnan(low) else f" [{low:.4g}, {high:.4g}]")


def _number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.4g}"


def _law(label: str, law: PowerLaw) -> str:
    if law.reason:
        return f"{label}: no exponent, {law.reason}"
    return f"{label}: b = {shown(law.exponent)} (p = {law.p_power:.2g})"
