"""The model whose arrays a result holds."""

from typing import TYPE_CHECKING

from ..dictionary import PatchDictionary
from ..errors import FastpatchError
from ..process import VPSchedule
from ..results import provenance

if TYPE_CHECKING:
    import xarray as xr

    from .empirical import EmpiricalModel
    from .patch import PatchModel

__all__ = ["model_of_result"]


def model_of_result(dataset: "xr.Dataset") -> "PatchModel | EmpiricalModel | None":
    """The patch machine or the empirical model of a result of `simulate`, from the file alone.

    Patterns of +-1 may be held as their codes. None for results of other models, or of a schedule whose rate is not a
    constant, which a file does not hold, and for arrays that are no such model's.
    """
    from .empirical import EmpiricalModel
    from .patch import PatchModel

    try:
        described = provenance(dataset)["run"]["model"]
        schedule = VPSchedule(float(described["beta"]))
        if "pattern" in dataset:
            dictionary = PatchDictionary(dataset["pattern"].to_numpy(), dataset["prior"].to_numpy())
            return PatchModel(dictionary, schedule)
        if "pattern_code" in dataset:
            codes, prior = (dataset[name].to_numpy() for name in ("pattern_code", "prior"))
            return PatchModel(PatchDictionary.from_codes(codes, described["size"], prior), schedule)
        if "prototype" in dataset:
            return EmpiricalModel(dataset["prototype"].to_numpy(), dataset["weight"].to_numpy(), schedule)
    except (FastpatchError, KeyError, TypeError, ValueError):
        return None
    return None
