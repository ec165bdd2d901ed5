"""Scores, differences and the dose-response curve of an experiment as one labelled dataset."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...analysis.paired import percentile_interval
from .information import class_information
from .plan import Branch, Plan
from .push import PUSHES
from .scores import METRICS
from .statistics import difference, per_unit, response
from .store import Strips
from .treatment import UNGUIDED, Treatment, dose, middle

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["build_dataset"]

# Attributes of `Difference`, by the dimensions that they have here.
_DIFFERENCE = {
    ("mean", "low", "high", "p_value", "p_holm"): ("metric", "condition", "class_label"),
    ("overall", "overall_low", "overall_high", "overall_p"): ("metric", "condition"),
}


def build_dataset(
    plan: Plan,
    scores: Mapping[Branch, NDArray[np.float64]],
    pushes: Mapping[Branch, NDArray[np.float32]],
    labels: Sequence[str],
    strips: Strips,
) -> "xr.Dataset":
    """The result of an experiment.

    Parameters
    ----------
    plan, scores, pushes, strips
        What was run, (logit, probability, top1) of every distinct run, `Pushes.values` of those that are treated, and
        images along a few of them.
    labels
        Names of all classes.

    Returns
    -------
    xarray.Dataset
        ``score`` (metric, condition, class_label, trial), ``guided_evaluations`` and ``pulse_sigma`` (condition,
        class_label, trial): the geometric mean of the levels that are guided, NaN where none is.
        ``advantage*`` (metric, condition, …): critical minus each condition; ``gain*``: each condition minus
        unguided. Both are followed by the names of the attributes of `Difference`.
        ``scan_score`` (metric, position, class_label, trial), ``scan_gain``, ``scan_gain_low``, ``scan_gain_high``
        (metric, position), ``scan_gain_by_class``: the dose-response curve, over ``position_sigma``, with the `dose` of
        each pulse in ``position_dose``; ``best_sigma``,
        ``best_sigma_low``, ``best_sigma_high``, ``best_is_critical`` (metric): where it is largest, with the
        bootstrap interval of that and the share of resamples in which it is at the critical pulse. Only with a scan.
        ``displacement`` (condition, class_label, trial): the size of the kick, RMS over the pixels; ``difference``,
        ``low_share``, ``high_share``: RMS of D - D_u at the guided evaluations and the shares of its bands in its
        square, NaN where the guide was not asked. ``response``, ``response_low``, ``response_high`` (metric,
        condition): mean gain over mean displacement. All of the same as ``scan_…`` (position in place of condition).
        ``kick_score`` (metric, kick, kick_position, class_label, trial), ``kick_gain``, ``kick_gain_low``,
        ``kick_gain_high`` (metric, kick, kick_position), ``kick_displacement``, ``kick_difference``,
        ``kick_low_share``, ``kick_high_share``: of kicks of one size, over ``kick_sigma``, see `kick_positions`. Only
        with that control. ``class_information`` (kick_position), ``information_sigma``,
        ``information_total`` and ``information_correlation`` (metric), with their bounds ``…_low`` and ``…_high``, see
        `ClassInformation`: with a scan as well.
        ``strip`` (strip_condition, class_label, strip_sigma, channel, y, x): denoised images.
        ``attrs``: ``sigma_c``, ``half_width``, ``weight``, ``critical_sigma`` as in ``pulse_sigma``,
        ``label_entropy`` of equal classes, in nats.
    """
    import xarray as xr

    settings = plan.settings
    grid = settings.grid
    classes = list(settings.classes)
    shape = (settings.trials, len(classes))

    def scored(given: Sequence[Treatment]) -> NDArray[np.float64]:
        found = np.array([scores[Branch(trial, one)] for trial, one in enumerate(given)])
        return found.reshape(*shape, len(METRICS)).transpose(2, 1, 0)

    def by_trial(given: Sequence[Treatment], value: Any) -> NDArray[Any]:
        return np.array([value(one) for one in given]).reshape(shape).T

    moves = {name: _pushes(plan, pushes, given) for name, given in plan.conditions.items()}
    by_condition = {name: scored(given) for name, given in plan.conditions.items()}
    variables: dict[str, Any] = {
        "score": (
            ("metric", "condition", "class_label", "trial"),
            np.stack(list(by_condition.values()), axis=1),
            _label("score of the class that was asked for", "1"),
        )
    }
    for name, value, text, units in (
        ("guided_evaluations", lambda one: one.guided_evaluations, "evaluations of the guide", "1"),
        ("pulse_sigma", lambda one: middle(one, grid), "geometric mean of the guided noise levels", "units of x"),
    ):
        found = np.stack([by_trial(given, value) for given in plan.conditions.values()])
        variables[name] = (("condition", "class_label", "trial"), found, _label(text, units))
    for name, text, pairs in (
        ("advantage", "critical minus condition", [("critical", name) for name in by_condition]),
        ("gain", "condition minus unguided", [(name, "unguided") for name in by_condition]),
    ):
        differences = [difference(by_condition[a], by_condition[b]) for a, b in pairs]
        for attributes, dims in _DIFFERENCE.items():
            for attribute in attributes:
                values = np.stack([getattr(one, attribute) for one in differences], axis=1)
                variables[f"{name}_{attribute}"] = (dims, values, _label(f"{text}: {attribute.replace('_', ' ')}", "1"))
    stacked = np.stack(list(moves.values()), axis=1)
    variables |= _push_variables("", ("condition",), stacked)
    gains = np.stack(list(by_condition.values()), axis=1) - by_condition["unguided"][:, None]
    variables |= _response_variables("", "condition", gains, stacked[0])
    coordinates: dict[str, Any] = {
        "metric": list(METRICS),
        "condition": list(by_condition),
        "class_label": ("class_label", classes, _label("class index", "1")),
        "class_name": ("class_label", [labels[index] for index in classes]),
        "trial": ("trial", np.arange(settings.trials), _label("number of the trial", "1")),
    }
    if plan.positions:
        scan = np.stack([scored([one] * len(plan.trials)) for one in plan.positions], axis=1)
        _add_scan(variables, coordinates, scan, by_condition["unguided"], plan)
        moved = np.stack([_pushes(plan, pushes, [one] * len(plan.trials)) for one in plan.positions], axis=1)
        variables |= _push_variables("scan_", ("position",), moved)
        variables |= _response_variables("scan_", "position", scan - by_condition["unguided"][:, None], moved[0])
    if plan.kicks:
        scored_kicks, moved_by = (
            np.stack(
                [np.stack([of([one] * len(plan.trials)) for one in given], axis=1) for given in plan.kicks.values()], 1
            )
            for of in (scored, lambda given: _pushes(plan, pushes, given))
        )
        _add_kicks(variables, coordinates, scored_kicks, by_condition["unguided"], plan)
        variables |= _push_variables("kick_", ("kick", "kick_position"), moved_by)
    if plan.positions and plan.kicks:
        size = moved_by[PUSHES.index("difference"), list(plan.kicks).index("guidance")]
        pixels = int(np.prod(strips.unguided.shape[2:]))
        _add_information(variables, size, pixels, scan - by_condition["unguided"][:, None], plan)
    _add_strips(variables, coordinates, strips, grid)
    return xr.Dataset(
        variables,
        coords=coordinates,
        attrs={
            "sigma_c": settings.sigma_c,
            "half_width": settings.pulse.half_width,
            "weight": settings.weight,
            "kick": settings.kick,
            "label_entropy": float(np.log(len(labels))),
            "critical_sigma": middle(settings.critical, grid),
        },
    )


def _add_scan(
    variables: dict[str, Any],
    coordinates: dict[str, Any],
    scan: NDArray[np.float64],
    unguided: NDArray[np.float64],
    plan: Plan,
) -> None:
    grid = plan.settings.grid
    curve = response(scan, unguided)
    positions = plan.positions
    sigma = np.array([middle(one, grid) for one in positions])
    best = sigma[curve.resampled_best]
    best_low, best_high = percentile_interval(best)
    critical = [one == plan.settings.critical for one in positions]
    dims = ("metric", "position")
    gain = "target score gained over the unguided run"
    variables |= {
        "scan_score": ((*dims, "class_label", "trial"), scan, _label("score of the class that was asked for", "1")),
        "scan_gain": (dims, curve.gain, _label(f"{gain}, mean", "1")),
        "scan_gain_low": (dims, curve.low, _label(f"{gain}, lower bound", "1")),
        "scan_gain_high": (dims, curve.high, _label(f"{gain}, upper bound", "1")),
        "scan_gain_by_class": ((*dims, "class_label"), curve.by_class, _label(gain, "1")),
        "best_sigma": ("metric", sigma[curve.best], _label("pulse position of the largest gain", "units of x")),
        "best_sigma_low": ("metric", best_low, _label("its lower bound", "units of x")),
        "best_sigma_high": ("metric", best_high, _label("its upper bound", "units of x")),
        "best_is_critical": (
            "metric",
            np.array(critical)[curve.resampled_best].mean(axis=0),
            _label("share of resamples in which the critical pulse gains most", "1"),
        ),
    }
    ends = grid[[[one.stop - 1, one.start] for one in positions]]
    evaluations = [one.guided_evaluations for one in positions]
    coordinates |= {
        "position_sigma": ("position", sigma, _label("geometric mean of the guided noise levels", "units of x")),
        "position_low": ("position", ends[:, 0], _label("lowest guided noise level", "units of x")),
        "position_high": ("position", ends[:, 1], _label("highest guided noise level", "units of x")),
        "position_evaluations": ("position", evaluations, _label("evaluations of the guide", "1")),
        "position_dose": ("position", [dose(one, grid) for one in positions], _label("dose of guidance", "1")),
        "position_is_critical": ("position", critical),
    }


def _add_kicks(
    variables: dict[str, Any],
    coordinates: dict[str, Any],
    scores: NDArray[np.float64],
    unguided: NDArray[np.float64],
    plan: Plan,
) -> None:
    dims = ("metric", "kick", "kick_position")
    curves = [response(scores[:, number], unguided) for number in range(len(plan.kicks))]
    text = "target score gained by a kick"
    variables["kick_score"] = ((*dims, "class_label", "trial"), scores, _label("score after a kick", "1"))
    for name, end in (("gain", ""), ("low", "_low"), ("high", "_high")):
        values = np.stack([getattr(curve, name) for curve in curves], axis=1)
        variables[f"kick_gain{end}"] = (dims, values, _label(f"{text}{end.replace('_', ': bound ')}", "1"))
    coordinates["kick"] = list(plan.kicks)
    levels = [one.start for one in next(iter(plan.kicks.values()))]
    coordinates["kick_sigma"] = ("kick_position", plan.settings.grid[levels], _label("noise level", "units of x"))


def _add_information(
    variables: dict[str, Any], difference: NDArray[np.float64], pixels: int, gain: NDArray[np.float64], plan: Plan
) -> None:
    grid = plan.settings.grid
    levels = [one.start for one in plan.kicks["guidance"]]
    positions = np.array([middle(one, grid) for one in plan.positions])
    found = class_information(difference, pixels, grid[levels], gain, positions)
    rate, peak = "class information decided in an octave of sigma", "noise level of the largest class information"
    total = "class information decided between the levels of the kicks"
    correlation = "correlation of class information and gain over the noise levels"
    for end, bound in (("", ""), ("_low", ", lower bound"), ("_high", ", upper bound")):
        rates = getattr(found, end[1:] or "rate")
        variables |= {
            f"class_information{end}": ("kick_position", rates, _label(rate + bound, "nat")),
            f"information_sigma{end}": ((), getattr(found, f"largest{end}"), _label(peak + bound, "units of x")),
            f"information_total{end}": ((), getattr(found, f"total{end}"), _label(total + bound, "nat")),
            f"information_correlation{end}": (
                "metric", getattr(found, f"correlation{end}"), _label(correlation + bound, "1"),
            ),
        }  # fmt: skip


def _pushes(
    plan: Plan, pushes: Mapping[Branch, NDArray[np.float32]], given: Sequence[Treatment]
) -> NDArray[np.float64]:
    """(number of `PUSHES`, class, trial); what a guide was not asked for is NaN, but the displacement is 0."""
    found = np.zeros((len(given), len(PUSHES)))
    for trial, one in enumerate(given):
        if one != UNGUIDED:
            found[trial] = pushes[Branch(trial, one)]
        if not one.guided_evaluations:
            found[trial, 1:] = np.nan
    return found.reshape(plan.settings.trials, len(plan.settings.classes), len(PUSHES)).transpose(2, 1, 0)


def _push_variables(prefix: str, dims: tuple[str, ...], values: NDArray[np.float64]) -> dict[str, Any]:
    texts = (
        ("RMS displacement that guidance makes", "units of x"), ("RMS of D - D_u", "units of x"),
        ("share of the low band in |D - D_u|^2", "1"), ("share of the high band in |D - D_u|^2", "1"),
    )  # fmt: skip
    return {
        f"{prefix}{name}": ((*dims, "class_label", "trial"), one, _label(*text))
        for name, one, text in zip(PUSHES, values, texts, strict=True)
    }


def _response_variables(
    prefix: str, dim: str, gain: NDArray[np.float64], displacement: NDArray[np.float64]
) -> dict[str, Any]:
    text = "mean gain over mean displacement"
    return {
        f"{prefix}response{end}": (("metric", dim), values, _label(text + end.replace("_", ": bound "), "1/units of x"))
        for end, values in zip(("", "_low", "_high"), per_unit(gain, displacement), strict=True)
    }


def _add_strips(
    variables: dict[str, Any], coordinates: dict[str, Any], strips: Strips, grid: NDArray[np.float64]
) -> None:
    variables["strip"] = (
        ("strip_condition", "class_label", "strip_sigma", "channel", "y", "x"),
        np.stack([strips.unguided, strips.critical]),
        _label("denoised image D(x, sigma) of the first trial", "1"),
    )
    coordinates["strip_condition"] = ["unguided", "critical"]
    coordinates["strip_sigma"] = ("strip_sigma", grid[list(strips.steps)], _label("noise level sigma", "units of x"))


def _label(long_name: str, units: str) -> dict[str, str]:
    return {"long_name": long_name, "units": units}
