"""What stands beside an experiment: the same on a Gaussian denoiser, and another judge of the same samples."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["NULL", "SECOND", "with_null", "with_second_judge"]

NULL, SECOND = "null_", "second_"

# Of the settings alone, or pictures.
_SHARED = ("guided_evaluations", "pulse_sigma", "strip")


def with_null(dataset: "xr.Dataset", null: "xr.Dataset") -> "xr.Dataset":
    """``dataset`` with the scores, gains and pushes of ``null`` under the same names after ``null_``.

    Both are results of `PulseExperiment.evaluate` with the same settings and classifier (not checked), the second one
    on a `GaussianDenoiser`, in which nothing is critical.
    """
    return _beside(dataset, null, NULL, [str(name) for name in null.data_vars if name not in _SHARED])


def with_second_judge(dataset: "xr.Dataset", judged: "xr.Dataset", name: str) -> "xr.Dataset":
    """``dataset`` with the scores and gains of ``judged`` after ``second_``, and the attribute ``second_classifier``.

    Both are results of one `PulseExperiment` (not checked), ``judged`` by the classifier ``name``.
    """
    names = [str(one) for one in judged.data_vars if "metric" in judged[one].dims or str(one).startswith("best_")]
    return _beside(dataset, judged, SECOND, names).assign_attrs(second_classifier=name)


def _beside(dataset: "xr.Dataset", other: "xr.Dataset", prefix: str, names: list[str]) -> "xr.Dataset":
    return dataset.assign({f"{prefix}{name}": other[name].variable for name in names})
