"""The noise levels that an analysis of unguided runs may call critical; they need not agree."""

import math
from typing import TYPE_CHECKING, Literal, get_args

from ...analysis import CriticalPoint, fastest_growth
from ...errors import InvalidInputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CriticalBy", "critical_attributes"]

CriticalBy = Literal["xi-eq", "xi-eq-first", "xi-x"]


def critical_attributes(analysis: "xr.Dataset", chosen: CriticalBy | float) -> dict[str, float]:
    """Attributes of a pulse experiment about sigma_c, from a result of `fastpatch.neural.analyze`.

    Parameters
    ----------
    analysis
        With ``xi_x`` and the attributes ``sigma_c`` and ``sigma_first``.
    chosen
        Which level is to be sigma_c: ``"xi-eq"``, the paper's, where the median xi_eq is largest (App. F.3);
        ``"xi-eq-first"``, the first peak of it that the run comes to; ``"xi-x"``, where xi_x grows fastest; or a
        level of one's own.

    Returns
    -------
    dict
        ``sigma_c``, and all three as ``sigma_xi_eq``, ``sigma_xi_eq_first`` and ``sigma_xi_x``, each with its
        interval ``…_low``, ``…_high`` and the share ``…_found`` of the resamples in which it exists; NaN where the
        analysis has no such level, or no interval.

    Raises `InvalidInputError` for an unknown name, or a level that the analysis does not have.
    """
    levels = {
        "xi-eq": _point(analysis, "sigma_c"),
        "xi-eq-first": _point(analysis, "sigma_first"),
        "xi-x": fastest_growth(analysis["sigma"].to_numpy(), analysis["xi_x"].to_numpy()),
    }
    found: dict[str, float] = {}
    for name, point in levels.items():
        found |= _attributes(f"sigma_{name.replace('-', '_')}", point)
    if not isinstance(chosen, str):
        return {"sigma_c": chosen, **found}
    if chosen not in levels:
        raise InvalidInputError(f"critical is {chosen!r}; expected one of {', '.join(get_args(CriticalBy))}")
    if math.isnan(levels[chosen].time):
        raise InvalidInputError(f"the analysis has no critical noise level by {chosen}; expected --sigma-c, or another")
    return {**_attributes("sigma_c", levels[chosen]), **found}


def _point(analysis: "xr.Dataset", name: str) -> CriticalPoint:
    return CriticalPoint(*(float(analysis.attrs[f"{name}{part}"]) for part in ("", "_low", "_high", "_found")))


def _attributes(name: str, point: CriticalPoint) -> dict[str, float]:
    return {name: point.time, f"{name}_low": point.low, f"{name}_high": point.high, f"{name}_found": point.found}
