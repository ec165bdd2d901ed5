"""What ``fastpatch unet sample`` makes of the run, and prints."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...analysis.statistics import standard_error

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sample_report", "sample_statistics"]


def sample_statistics(
    dataset: "xr.Dataset",
    train: NDArray[np.float32] | None,
    test: NDArray[np.float32] | None,
    *,
    binarised: bool,
    seed: int,
) -> "xr.Dataset":
    """The final fields and the snapshots, without the records along the way, and their statistics beside the data's."""
    from ...neural.probes.sample_statistics import compare_with_data

    kept = dataset[["final", "snapshot"]]
    if train is None or test is None:
        return kept
    compared = compare_with_data(dataset["final"].to_numpy(), train, test, binarised=binarised, seed=seed)
    return kept.assign(compared.data_vars).assign_attrs(compared.attrs)


def sample_report(dataset: "xr.Dataset") -> str:
    """The statistics of the samples beside those of held-out images, as an aligned table."""
    from scipy.stats import binomtest

    if "sample_to_train" not in dataset:
        return f"{'samples':<36}{dataset.sizes['trajectory']:14d}"

    def row(label: str, *names: str) -> str:
        return f"  {label:<34}" + "".join(f"{_mean_and_error(dataset[name].to_numpy()):>18}" for name in names)

    nearer = dataset["sample_to_train"].to_numpy() <= dataset["sample_to_test"].to_numpy()
    share = dataset.attrs["train_share"]
    p_value = binomtest(int(nearer.sum()), len(nearer), share, alternative="greater").pvalue
    lines = [f"{'mean ± standard error':<36}{'samples':>18}{'held-out data':>18}"]
    lines.append(row("mean pixel", "sample_mean", "reference_mean"))
    lines.append(row("xi_x (sites)", "sample_length", "reference_length"))
    for r in (1, 4, 8):
        values = [float(dataset[f"{name}_correlation"].isel(r=r)) for name in ("sample", "reference")]
        lines.append(f"  {f'C(r = {r})':<34}" + "".join(f"{value:18.3f}" for value in values))
    lines.append(row("distance to the training set", "sample_to_train", "reference_to_train"))
    lines.append(row("distance to the test set", "sample_to_test"))
    lines.append(
        f"  nearest of all is a training image: {int(nearer.sum())} of {len(nearer)}; "
        f"expected {share * len(nearer):.1f} without memorising (one-sided p = {p_value:.2g})"
    )
    return "\n".join(lines)


def _mean_and_error(values: NDArray[Any]) -> str:
    return f"{values.mean():.3f} ± {standard_error(values):.3f}"
