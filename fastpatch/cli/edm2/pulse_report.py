"""The tables that ``fastpatch edm2 pulse`` prints."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["report"]

_SCORES = (("logit", "logit"), ("probability", "probability"), ("top1", "top-1"))
_COMPARED = ("random", "step-matched", "log-uniform")


def report(dataset: "xr.Dataset") -> str:
    """Scores of every condition, critical minus its controls by class, the dose-response curve, kicks, the verdict.

    Every comparison is by logit, probability and top-1. What the null and a second classifier say stands below.
    """
    from ...neural.pulse import verdict

    lines = [*_condition_lines(dataset), *_class_lines(dataset)]
    if "scan_gain" in dataset:
        lines += _scan_lines(dataset)
    if "kick_gain" in dataset:
        lines += _kick_lines(dataset)
    for prefix, name in (("null_", "Gaussian null"), ("second_", dataset.attrs.get("second_classifier"))):
        if f"{prefix}gain_overall" in dataset:
            lines += _beside_lines(dataset, prefix, str(name))
    for metric, title in _SCORES:
        lines += [f"By target {title}:", *verdict(dataset, metric)]
    return "\n".join(lines)


def _condition_lines(dataset: "xr.Dataset") -> list[str]:
    low, high = (dataset.attrs["sigma_c"] + sign * dataset.attrs["half_width"] for sign in (-1.0, 1.0))
    lines = [
        f"critical pulse: w = {dataset.attrs['weight']:g} at sigma from {low:.3g} to {high:.3g}",
        f"{'mean of the target class':<24}{'guided':>8}" + "".join(f"{title:>13}" for _, title in _SCORES)
        + "".join(f"{f'gain in {title} [95 %]':>30}" for _, title in _SCORES),
    ]  # fmt: skip
    for name in dataset["condition"].to_numpy():
        one = dataset.sel(condition=name)
        means = "".join(f"{float(one['score'].sel(metric=metric).mean()):13.4f}" for metric, _ in _SCORES)
        gains = "".join(f"{_interval(one.sel(metric=metric), 'gain_overall'):>30}" for metric, _ in _SCORES)
        lines.append(f"  {name:<22}{float(one['guided_evaluations'].mean()):8.3g}{means}{gains}")
    lines.append(
        f"{'size of the kick':<24}{'moves x':>10}{'|D - D_u|':>11}{'low':>7}{'high':>7}   logit per unit moved"
    )
    for name in dataset["condition"].to_numpy():
        one = dataset.sel(condition=name)
        asked = one["guided_evaluations"] > 0
        if not bool(asked.any()):
            continue
        sizes = [float(one[which].where(asked).mean()) for which in ("difference", "low_share", "high_share")]
        lines.append(
            f"  {name:<22}{float(one['displacement'].mean()):10.4f}{sizes[0]:11.4f}{sizes[1]:7.2f}{sizes[2]:7.2f}   "
            f"{_interval(one.sel(metric='logit'), 'response')}"
        )
    return lines


def _class_lines(dataset: "xr.Dataset") -> list[str]:
    """Critical minus control, by class: the paper's table, with intervals; * where Holm's p < 0.05."""
    shown = [name for name in _COMPARED if name in dataset["condition"].to_numpy()]
    lines: list[str] = []
    for metric, score in _SCORES:
        at = dataset.sel(metric=metric)
        lines.append(f"{f'critical minus …, {score}':<28}" + "".join(f"{name:>28}" for name in shown))
        for place, title in enumerate(at["class_name"].to_numpy()):
            cells = [at.sel(condition=name).isel(class_label=place) for name in shown]
            marked = [f"{_interval(one, 'advantage')}{'*' if one['advantage_p_holm'] < 0.05 else ' '}" for one in cells]
            lines.append(f"  {title:<26}" + "".join(f"{cell:>28}" for cell in marked))
        overall = [f"{_interval(at.sel(condition=name), 'advantage_overall')} " for name in shown]
        lines.append(f"  {'all':<26}" + "".join(f"{cell:>28}" for cell in overall))
    return lines


def _scan_lines(dataset: "xr.Dataset") -> list[str]:
    head = "".join(f"{f'gain in {title} [95 %]':>30}" for _, title in _SCORES)
    lines = [
        f"{'pulse at sigma':<16}{'guided':>8}{'moves x':>10}{'|D - D_u|':>11}{'low':>7}{head}   logit per unit moved"
    ]
    for place in range(dataset.sizes["position"]):
        one = dataset.isel(position=place)
        cells = "".join(f"{_interval(one.sel(metric=metric), 'scan_gain'):>30}" for metric, _ in _SCORES)
        sizes = [float(one[f"scan_{name}"].mean()) for name in ("displacement", "difference", "low_share")]
        mark = "  critical" if one["position_is_critical"] else ""
        lines.append(
            f"{float(one['position_sigma']):16.3g}{int(one['position_evaluations']):8d}{sizes[0]:10.4f}{sizes[1]:11.4f}"
            f"{sizes[2]:7.2f}{cells}   {_interval(one.sel(metric='logit'), 'scan_response')}{mark}"
        )
    return lines


def _kick_lines(dataset: "xr.Dataset") -> list[str]:
    """Gain by kicks of one size, a table a score."""
    kinds = dataset["kick"].to_numpy().tolist()
    lines = []
    for metric, title in _SCORES:
        at = dataset.sel(metric=metric)
        first = f"kick of {dataset.attrs['kick']:g}, {title}"
        lines.append(f"{first:<28}" + "".join(f"{f'along {kind}':>28}" for kind in kinds))
        for place, sigma in enumerate(at["kick_sigma"].to_numpy()):
            cells = [_interval(at.sel(kick=kind).isel(kick_position=place), "kick_gain") for kind in kinds]
            lines.append(f"{f'at sigma = {sigma:.3g}':<28}" + "".join(f"{cell:>28}" for cell in cells))
    return lines


def _beside_lines(dataset: "xr.Dataset", prefix: str, name: str) -> list[str]:
    """Gains and the place of the largest one, as the null or a second classifier has them."""
    lines = [f"{name:<28}" + "".join(f"{f'gain in {title} [95 %]':>30}" for _, title in _SCORES)]
    for condition in dataset["condition"].to_numpy()[1:]:
        one = dataset.sel(condition=condition)
        cells = [_interval(one.sel(metric=metric), f"{prefix}gain_overall") for metric, _ in _SCORES]
        lines.append(f"  {condition:<26}" + "".join(f"{cell:>30}" for cell in cells))
    for control in (one for one in _COMPARED if one in dataset["condition"].to_numpy()):
        one = dataset.sel(condition=control)
        cells = [_interval(one.sel(metric=metric), f"{prefix}advantage_overall") for metric, _ in _SCORES]
        lines.append(f"  {f'critical minus {control}':<26}" + "".join(f"{cell:>30}" for cell in cells))
    if f"{prefix}best_sigma" in dataset:
        best = [
            "{:.3g} [{:.3g}, {:.3g}]".format(
                *(float(dataset[f"{prefix}best_sigma{end}"].sel(metric=metric)) for end in ("", "_low", "_high"))
            )
            for metric, _ in _SCORES
        ]
        lines.append(f"  {'acts most at sigma =':<26}" + "".join(f"{cell:>30}" for cell in best))
    return lines


def _interval(one: "xr.Dataset", name: str) -> str:
    """Mean and interval; those by class are named apart from those over all."""
    mean = name if name in one else f"{name}_mean"
    return f"{float(one[mean]):+.3f} [{float(one[f'{name}_low']):+.3f}, {float(one[f'{name}_high']):+.3f}]"
