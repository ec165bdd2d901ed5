"""Scores, differences and the dose-response curve of an experiment as one labelled dataset."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...analysis.paired import percentile_interval
from .plan import Branch, Plan
from .scores import METRICS
from .statistics import difference, response
from .store import Strips
from .treatment import Treatment, dose, middle

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["build_dataset"]

# Attributes of `Difference`, by the dimensions that they have here.
_DIFFERENCE = {
    ("mean", "low", "high", "p_value", "p_holm"): ("metric", "condition", "class_label"),
    ("overall", "overall_low", "overall_high", "overall_p"): ("metric", "condition"),
}


def build_dataset(
    plan: Plan, scores: Mapping[Branch, NDArray[np.float64]], labels: Sequence[str], strips: Strips
) -> "xr.Dataset":
    """The result of an experiment.

    Parameters
    ----------
    plan, scores, strips
        What was run, (logit, probability, top1) of every distinct run, and images along a few of them.
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
        ``strip`` (strip_condition, class_label, strip_sigma, channel, y, x): denoised images.
        ``attrs``: ``sigma_c``, ``half_width``, ``weight``, ``critical_sigma`` as in ``pulse_sigma``.
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
    _add_strips(variables, coordinates, strips, grid)
    return xr.Dataset(
        variables,
        coords=coordinates,
        attrs={
            "sigma_c": settings.sigma_c,
            "half_width": settings.pulse.half_width,
            "weight": settings.weight,
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
