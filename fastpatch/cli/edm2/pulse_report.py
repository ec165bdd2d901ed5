"""The tables that ``fastpatch edm2 pulse`` prints."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["report"]

_SCORES = (("top1", "top-1"), ("probability", "probability"), ("logit", "logit"))
_COMPARED = ("random", "step-matched", "log-uniform")


def report(dataset: "xr.Dataset") -> str:
    """Scores of every condition, critical minus its controls by class, the dose-response curve, and the verdict."""
    from ...neural.pulse import verdict

    lines = [*_condition_lines(dataset), *_class_lines(dataset)]
    if "scan_gain" in dataset:
        lines += _scan_lines(dataset)
    return "\n".join([*lines, *verdict(dataset)])


def _condition_lines(dataset: "xr.Dataset") -> list[str]:
    low, high = (dataset.attrs["sigma_c"] + sign * dataset.attrs["half_width"] for sign in (-1.0, 1.0))
    lines = [
        f"critical pulse: w = {dataset.attrs['weight']:g} at sigma from {low:.3g} to {high:.3g}",
        f"{'mean of the target class':<24}{'guided':>8}" + "".join(f"{title:>13}" for _, title in _SCORES)
        + "   gain in logit [95 %]",
    ]  # fmt: skip
    for name in dataset["condition"].to_numpy():
        one = dataset.sel(condition=name)
        means = "".join(f"{float(one['score'].sel(metric=metric).mean()):13.4f}" for metric, _ in _SCORES)
        gain = _interval(one.sel(metric="logit"), "gain_overall")
        lines.append(f"  {name:<22}{float(one['guided_evaluations'].mean()):8.3g}{means}   {gain}")
    return lines


def _class_lines(dataset: "xr.Dataset") -> list[str]:
    """Critical minus control, by class: the paper's table, with intervals; * where Holm's p < 0.05."""
    shown = [name for name in _COMPARED if name in dataset["condition"].to_numpy()]
    lines: list[str] = []
    for metric in ("logit", "probability"):
        at = dataset.sel(metric=metric)
        lines.append(f"{f'critical minus …, {metric}':<24}" + "".join(f"{name:>28}" for name in shown))
        for place, title in enumerate(at["class_name"].to_numpy()):
            cells = [at.sel(condition=name).isel(class_label=place) for name in shown]
            marked = [f"{_interval(one, 'advantage')}{'*' if one['advantage_p_holm'] < 0.05 else ' '}" for one in cells]
            lines.append(f"  {title:<22}" + "".join(f"{cell:>28}" for cell in marked))
        overall = [f"{_interval(at.sel(condition=name), 'advantage_overall')} " for name in shown]
        lines.append(f"  {'all':<22}" + "".join(f"{cell:>28}" for cell in overall))
    return lines


def _scan_lines(dataset: "xr.Dataset") -> list[str]:
    lines = [f"{'pulse at sigma':<16}{'guided':>8}{'gain in logit [95 %]':>28}{'gain in probability [95 %]':>32}"]
    for place in range(dataset.sizes["position"]):
        one = dataset.isel(position=place)
        cells = [_interval(one.sel(metric=metric), "scan_gain") for metric in ("logit", "probability")]
        mark = "  critical" if one["position_is_critical"] else ""
        lines.append(
            f"{float(one['position_sigma']):16.3g}{int(one['position_evaluations']):8d}{cells[0]:>28}{cells[1]:>32}{mark}"
        )
    return lines


def _interval(one: "xr.Dataset", name: str) -> str:
    """Mean and interval; those by class are named apart from those over all."""
    mean = name if name in one else f"{name}_mean"
    return f"{float(one[mean]):+.3f} [{float(one[f'{name}_low']):+.3f}, {float(one[f'{name}_high']):+.3f}]"
