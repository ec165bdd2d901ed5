"""What the numbers of a pulse experiment say, in sentences that follow from them."""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FAIR_CONTROLS", "verdict"]

FAIR_CONTROLS = ("step-matched", "log-uniform")

_LEVEL = 0.05
_CRITICAL = {
    "sigma_xi_eq": "the largest xi_eq",
    "sigma_xi_eq_first": "the first peak of xi_eq",
    "sigma_xi_x": "the fastest growth of xi_x",
}
_ENDS = ("", "_low", "_high")


def verdict(dataset: "xr.Dataset", metric: str = "logit") -> list[str]:
    """Sentences about the result of `PulseExperiment.evaluate`: does the critical pulse beat its controls, where does
    a pulse act most, and which spatial frequencies carry its effect.

    A condition beats another where the 95 % interval of their difference over classes and trials excludes 0.
    """
    at = dataset.sel(metric=metric)
    present = set(at["condition"].to_numpy().tolist())
    lines = [_against(at, name, metric) for name in ("random", *FAIR_CONTROLS) if name in present]
    fair = [name for name in FAIR_CONTROLS if name in present and not _is_critical(at, name)]
    if fair:
        beaten = [name for name in fair if _sign(at, name) > 0]
        lost = [name for name in fair if name not in beaten]
        controls = f"the fair control{'s' if len(fair) > 1 else ''} ({', '.join(fair)})"
        if not lost:
            lines.append(f"The critical pulse beats {controls}.")
        else:
            exception = f" It beats only {beaten[0]}." if beaten else ""
            lines.append(f"The critical pulse does not beat {controls}.{exception}")
    if "scan_gain" in at:
        lines += _scan_lines(at, metric) + _information_lines(at, metric)
    if "critical, low band" in present:
        lines.append(_band_line(at, metric))
    return lines


def _is_critical(at: "xr.Dataset", name: str) -> bool:
    """Whether a control guides the critical pulse's levels: at an end of the noise levels no other costs as much."""
    return all(
        bool((at[what].sel(condition=name) == at[what].sel(condition="critical")).all())
        for what in ("pulse_sigma", "guided_evaluations")
    )


def _against(at: "xr.Dataset", name: str, metric: str) -> str:
    if _is_critical(at, name):
        return f"The {name} pulses are the critical pulse itself: the noise levels have no other of the kind."
    one = at.sel(condition=name)
    mean, low, high = (float(one[f"advantage_overall{end}"]) for end in ("", "_low", "_high"))
    adjusted, means = one["advantage_p_holm"].to_numpy(), one["advantage_mean"].to_numpy()
    better, worse = (int(((adjusted < _LEVEL) & (sign * means > 0.0)).sum()) for sign in (1, -1))
    relation = {1: "beats", 0: "cannot be told from", -1: "is worse than"}[_sign(at, name)]
    missed = float((one["guided_evaluations"] == 0).mean())
    unguided = f", {100 * missed:.0f} % of which guide no evaluation" if missed else ""
    words = {"random": "the paper's random pulses", "step-matched": "step-matched pulses"}
    return (
        f"The critical pulse {relation} {words.get(name, f'{name} pulses')}{unguided}: target {metric} {mean:+.3g} "
        f"[{low:.3g}, {high:.3g}], p = {float(one['advantage_overall_p']):.2g}; significantly higher in {better} and "
        f"lower in {worse} of {len(means)} classes."
    )


def _sign(at: "xr.Dataset", name: str) -> int:
    """1 where critical is above ``name`` by the interval, -1 below, 0 undecided."""
    one = at.sel(condition=name)
    return int(one["advantage_overall_low"] > 0.0) - int(one["advantage_overall_high"] < 0.0)


def _scan_lines(at: "xr.Dataset", metric: str) -> list[str]:
    gain = at["scan_gain"].to_numpy()
    if len(gain) < 2:
        return ["The noise levels have one position for such a pulse: nothing is said of where a pulse acts most."]
    best, low, high = (float(at[f"best_sigma{end}"]) for end in ("", "_low", "_high"))
    critical = float(at["gain_overall"].sel(condition="critical"))
    # Of the positions beside the critical one, which may be among them.
    others = gain[~at["position_is_critical"].to_numpy()]
    rank = 1 + int((others > critical).sum())
    sigma = at.attrs["critical_sigma"]
    share = f", {100 * critical / gain.max():.0f} % of the largest gain" if gain.max() > 0.0 else ""
    lines = [
        f"Over all positions, the target {metric} gains most from a pulse at sigma = {best:.3g} "
        f"[{low:.3g}, {high:.3g}]: {gain.max():+.3g} over no guidance. The critical pulse, at sigma = {sigma:.3g}, "
        f"gains {critical:+.3g}{share}, rank {rank} of {len(others) + 1}."
    ]
    if gain.max() <= 0.0:
        return [*lines, "No position gains anything."]
    per_dose = gain / at["position_dose"].to_numpy()
    strongest = float(at["position_sigma"][int(per_dose.argmax())])
    lines.append(f"Per unit of dose, the gain is largest at sigma = {strongest:.3g}.")
    if low <= sigma <= high or math.isclose(sigma, best):
        lines.append("The critical noise level agrees with the position at which a pulse acts most.")
    else:
        side = "larger" if best > sigma else "smaller"
        lines.append(f"The critical noise level is not where a pulse acts most, which is at {side} sigma.")
    return lines + _level_lines(at, metric)


def _level_lines(at: "xr.Dataset", metric: str) -> list[str]:
    """What a pulse does at each of the levels that an analysis may call critical."""
    gain, sigma = at["scan_gain"].to_numpy(), at["position_sigma"].to_numpy()
    lines = []
    for name, text in _CRITICAL.items():
        level = float(at.attrs.get(name, math.nan))
        if not math.isnan(level):
            place = int(abs(np.log(sigma / level)).argmin())
            lines.append(
                f"At {text}, sigma = {level:.3g}, the nearest pulse gains {gain[place]:+.3g} in target {metric}, "
                f"{100 * gain[place] / gain.max():.0f} % of the largest gain."
            )
    return lines


def _information_lines(at: "xr.Dataset", metric: str) -> list[str]:
    """Whether the class information that is decided at a level predicts what a pulse there does."""
    if "class_information" not in at:
        return []
    lines = []
    for prefix, name in (("", "Of the network"), ("null_", "Of the Gaussian null")):
        if f"{prefix}class_information" not in at:
            continue
        peak, total, r = (
            "{:.3g} [{:.3g}, {:.3g}]".format(*(float(at[f"{prefix}information_{what}{end}"]) for end in _ENDS))
            for what in ("sigma", "total", "correlation")
        )
        entropy = at.attrs["label_entropy"]
        held = f"in all {total} nats, where equal labels hold {entropy:.3g}"
        if float(at[f"{prefix}information_total_low"]) > entropy:
            held += " (more than there is: D and D_u are not those of one distribution)"
        lines.append(
            f"{name}, most class information an octave is decided at sigma = {peak}, {held}; over the noise levels it "
            f"correlates with the gain in target {metric} by r = {r}."
        )
    return lines


def _band_line(at: "xr.Dataset", metric: str) -> str:
    names = ("critical", "critical, low band", "critical, high band")
    shown = [
        "{:+.3g} [{:.3g}, {:.3g}]".format(*(float(at[f"gain_overall{end}"].sel(condition=name)) for end in _ENDS))
        for name in names
    ]
    return (
        f"Of the critical pulse's gain in target {metric}, {shown[0]}, the low band alone gives {shown[1]} and the "
        f"high band alone {shown[2]}."
    )
