"""The figures of a result, from the dataset alone."""

from typing import TYPE_CHECKING

from .errors import ResultFileError
from .results import title_of

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["plot"]


def plot(dataset: "xr.Dataset", *, null: bool = True) -> "dict[str, Figure]":
    """Every figure that a result has the variables of, by the stem of the file that the command line writes.

    Nothing is shown, and pyplot is not touched: ``fp.plot(ds)["figure3"]`` displays itself in a notebook, and
    ``.savefig(path)`` writes it. `fastpatch.analysis.figures.figure_style` sets sizes for a journal or for slides.

    With ``null`` the curves of a Gaussian field of the same second moments stand beside those of a patch machine, and
    of a network whose result holds them; those of class-conditional Gaussians beside a pulse experiment that ran them.

    Raises `ResultFileError` for a dataset that has lost some of what every result has.
    """
    from .analysis import figures
    from .theory import closure_of_result, null_of_result

    title = title_of(dataset)
    if "loss" in dataset:
        return {"loss": figures.draw_held_out(dataset, title)}
    # Decided information may have been measured without a run.
    if "gain_overall" not in dataset and ("xi_x" in dataset or "total_rate" not in dataset):
        needed = {"xi_x", "xi_eq", "mode_derivative"} if "xi_x" in dataset else {"final"}
        missing = sorted(needed - set(dataset.data_vars)) or sorted({"trajectory"} - set(dataset.dims))
        if missing:
            raise ResultFileError(f"the result has no {', '.join(missing)}; expected it whole, as it was made")
    if not null:
        dataset = dataset.drop_vars([name for name in dataset.data_vars if str(name).startswith("null_")])
    drawn: dict[str, Figure] = {}
    if "gain_overall" in dataset:
        drawn["figure4"] = figures.draw_pulse_figure(dataset, title, null=null)
        drawn["conditions"] = figures.draw_condition_gains(dataset, title, null=null)
        if "scan_gain" in dataset:
            drawn["dose_response"] = figures.draw_dose_response(dataset, title, null=null)
        if "kick_gain" in dataset:
            drawn["kicks"] = figures.draw_kicks(dataset, title, null=null)
    elif "xi_x" in dataset and "sigma" in dataset.dims:
        drawn["figure1"] = figures.draw_noise_levels(dataset, title)
        drawn["softening"] = figures.draw_relative_softening(dataset, title)
    elif "xi_x" in dataset:
        beside = null_of_result(dataset) if null else None
        drawn["figure3"] = figures.draw_dynamics(dataset, title, null=beside, predicted=closure_of_result(dataset))
    elif "final" in dataset:
        drawn["samples"] = figures.draw_samples(dataset, title)
    if "total_rate" in dataset:
        drawn["information"] = figures.draw_information(dataset, title=title)
    if "pattern" in dataset or "prototype" in dataset:
        drawn["snapshots"] = figures.draw_snapshots(dataset)
    elif dataset.sizes.get("snapshot_time"):
        drawn["denoising"] = figures.draw_denoising(dataset)
    if "dispersion" in dataset:
        drawn["locality"] = figures.draw_locality(dataset, title)
    if "sample_to_train" in dataset:
        drawn["statistics"] = figures.draw_fidelity(dataset)
    return drawn
