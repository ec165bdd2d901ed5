"""Scaling studies as short text."""

from collections.abc import Sequence
from functools import singledispatch

import numpy as np

from ..analysis.critical_interval import LEAST_FOUND
from .finite_size import FiniteSize
from .measured import Measured
from .power_law import PowerLaw
from .prior_mass import PREDICTIONS, PriorMass
from .quench import QuenchRate
from .shift import Shift

__all__ = ["scaling_report", "shown", "shown_exponent"]


@singledispatch
def scaling_report(study: object) -> str:
    """A study of `scaling_study` as an aligned table of at most 80 columns and what its fits say.

    Values have their 95 % intervals, or the share of the bootstrap resamples in which they exist where that is below
    0.95. Raises `TypeError` for anything else.
    """
    raise TypeError(f"study is a {type(study).__name__}; expected a result of scaling_study")


@scaling_report.register
def _(study: FiniteSize) -> str:
    found = study.observables
    lines = [
        *_table("L", [f"{side:.0f}" for side in study.L], {
            "lambda_0 = 0 at t": [one.zero_time for one in found],
            "xi_eq peak at t": [one.peak_time for one in found],
        }),
        *_table("L", [f"{side:.0f}" for side in study.L], {
            "xi_eq peak (sites)": [one.peak_height for one in found],
            "final xi_x (sites)": [one.final_length for one in found],
        }),
    ]  # fmt: skip
    shift = study.shift
    if shift.reason:
        lines += [f"t_c(L): {shift.reason}", f"  mean t_c = {shown(shift.mean)}"]
    else:
        lines.append(f"t_c(L) = t_c(inf) + a L^(-1/nu): 1/nu = {shown_exponent(shift)}")
        lines.append(f"  t_c(inf) = {shown(shift.limit)}, mean t_c = {shown(shift.mean)}")
        lines += [f"  {shift.remark}"] if shift.remark else []
    lines += _law("xi_eq peak ~ L^b", study.peak_height)
    share = float(np.mean([one.cut_off for one in found]))
    if share >= 0.5:
        lines.append("  the peak is the last record before the zero: the spacing of records sets it")
    lines += _law("final xi_x ~ L^b", study.final_length)
    collapse = study.collapse
    if collapse is None:
        lines.append("collapse of xi_eq / L: fewer than three sizes")
    elif collapse.reason:
        lines.append(f"collapse of xi_eq / L: none, {collapse.reason}; S = {collapse.measure:.3g}")
    else:
        lines.append(f"collapse of xi_eq / L: 1/nu = {shown(collapse.inverse_nu)}, S = {collapse.measure:.3g}")
        lines.append(f"  t_c = {shown(collapse.t_c)}" + ("; intervals widened by S" if collapse.measure > 1.0 else ""))
    if collapse is not None:
        lines.append(f"  xi_eq itself against t, unscaled: S = {collapse.unscaled:.3g} (1: no dependence on L)")
    return "\n".join(lines)


@scaling_report.register
def _(study: QuenchRate) -> str:
    scaled = [
        Measured(quench.beta * zero.value, quench.beta * zero.resampled, zero.count)
        for quench, zero in zip(study.quenches, study.zero_time, strict=True)
    ]
    keys = [f"{quench.beta:.3g} {quench.steps:9d} {quench.rate:9.3g}" for quench in study.quenches]
    lines = _table(
        "beta     steps  v (/step)", keys, {"lambda_0 = 0 at beta t": scaled, "final xi_x (sites)": study.final_length}
    )
    for beta, law in study.laws.items():
        lines += _law(f"final xi_x ~ v^b, beta = {beta:g}", law)
        lines += _law("  its slower half", study.slow[beta])
    return "\n".join(lines)


@scaling_report.register
def _(study: PriorMass) -> str:
    names = [{"renormalised": "renorm."}.get(name, name) for name in PREDICTIONS]
    lines = [f"{'mass':>5}{'dict.':>6}{'lambda_0 = 0 at t':>24}" + "".join(f"{name:>9}" for name in names)]
    for index, ((mass, dictionary), zero) in enumerate(zip(study.keys, study.zero_time, strict=True)):
        predicted = "".join(_number(study.predictions[name][index]).rjust(9) for name in PREDICTIONS)
        lines.append(f"{mass:5.3g}{dictionary:6d}{shown(zero):>24}{predicted}")
    for condition in PREDICTIONS:
        deviation = study.deviation(condition)
        known = deviation[np.isfinite(deviation)]
        if known.size:
            rms, worst = np.sqrt(np.mean(known**2)), known[np.argmax(np.abs(known))]
            lines.append(f"measured over {condition} less one: rms {rms:.2%}, largest {worst:+.2%}, of {known.size}")
    return "\n".join(lines)


def shown(measured: Measured) -> str:
    """A value with its 95 % interval, or with the share of the resamples that have one where that is too small."""
    value, (low, high) = _number(measured.value), measured.interval
    if not np.isnan(low):
        return f"{value} [{low:.4g}, {high:.4g}]"
    return f"{value} (found {measured.found:.0%})" if measured.found < LEAST_FOUND else value


def shown_exponent(shift: Shift) -> str:
    """1 / nu with its interval, of which an end that the errors leave open is named so."""
    low, high = shift.inverse_nu.interval
    if np.isnan(low):
        return shown(shift.inverse_nu)
    open_below, open_above = shift.open_ends
    return (
        f"{_number(shift.inverse_nu.value)} [{'open' if open_below else f'{low:.4g}'}, "
        f"{'open' if open_above else f'{high:.4g}'}]"
    )


def _table(title: str, keys: Sequence[str], columns: dict[str, Sequence[Measured]]) -> list[str]:
    width = max(len(title), *map(len, keys))
    lines = [f"{title:>{width}}" + "".join(f"{name:>26}" for name in columns)]
    for row, key in enumerate(keys):
        lines.append(f"{key:>{width}}" + "".join(f"{shown(values[row]):>26}" for values in columns.values()))
    return lines


def _number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.4g}"


def _law(label: str, law: PowerLaw) -> list[str]:
    if law.reason:
        return [f"{label}: no exponent, {law.reason}"]
    line = f"{label}: b = {shown(law.exponent)} (p = {law.p_power:.2g})"
    return [line, f"    {law.remark}"] if law.remark else [line]
