"""What ``fastpatch unet analyze`` computes beside the run itself, and prints."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...analysis import log_time_derivative
from ...errors import InvalidInputError
from ...messages import has_terminal, tell
from ...validation import integer

if TYPE_CHECKING:
    import xarray as xr

    from ...neural.unet.model import UNetModel

__all__ = ["analysis_report", "beside_data", "locality", "response_times"]

# Times at which the local response is measured: the transition lies between the first and the last.
_RESPONSE_TIMES = np.geomspace(10.0, 0.01, 12)

# A field of this root mean square has left the range of the data, whose values are in [-1, 1].
_LARGEST = 2.0


def response_times(times: NDArray[np.float64], record_every: int) -> NDArray[np.float64]:
    """The recorded times nearest to those at which the local response is to be measured.

    Raises `InvalidInputError` for a grid that contains fewer than two of them.
    """
    integer(record_every, "record_every", minimum=1)
    recorded = np.append(times[:-1:record_every], times[-1])
    wanted = [t for t in _RESPONSE_TIMES if recorded[-1] <= t <= recorded[0]]
    nearest = np.unique([np.abs(np.log(recorded / t)).argmin() for t in wanted]).astype(np.intp)
    if len(nearest) < 2:
        raise InvalidInputError(
            f"the run goes from t = {recorded[0]:g} to {recorded[-1]:g} with {len(nearest)} recorded time(s) between "
            "10 and 0.01 to measure the local response at; expected two at least"
        )
    return np.asarray(recorded[nearest])


def beside_data(
    dataset: "xr.Dataset", images: NDArray[np.float32], model: "UNetModel", *, null: bool = True
) -> "xr.Dataset":
    r"""The dataset with Omega as the covariance of the training images has it, and with ``null`` their Gaussian null.

    The null has the images' full covariance: one of their translation-averaged spectrum would have no turn of lambda_0.

    For x ~ N(0, 1) at large t the posterior is the data's own distribution, and the response of the posterior mean to
    a uniform change of x is alpha/sigma^2 times the sum over a row of the data's covariance, averaged over rows:
    the number of sites times the variance of the mean pixel. It takes the place of Omega in eq. 30.
    """
    from ...models.wiener import WienerModel
    from ...theory import with_null

    omega = images[0].size * float(images.mean(axis=(-2, -1), dtype=np.float64).var())
    found = dataset.assign_attrs(data_omega=omega)
    return with_null(found, WienerModel(images, model.schedule)) if null else found


def locality(model: "UNetModel", dataset: "xr.Dataset", *, quiet: bool, **arguments: Any) -> "xr.Dataset":
    """The dataset with the local response, and the critical time that the theory makes of it."""
    from ...neural.probes.locality import measure_locality
    from ...neural.probes.receptive_field import predicted_critical_time

    found = measure_locality(
        model, dataset, periodic=model.net.padding == "circular", progress=not quiet and has_terminal(),
        **arguments,
    )  # fmt: skip
    predicted = predicted_critical_time(
        found["snapshot_time"].to_numpy(), found["receptive_sites"].to_numpy(), model.schedule
    )
    if not math.isnan(predicted.time):
        found.attrs["critical_time"] = predicted.time
    return found


def analysis_report(dataset: "xr.Dataset", model: "UNetModel") -> str:
    """Critical times predicted from the receptive field and the data, the measured ones, and the local response."""
    from ...neural.probes.receptive_field import predicted_critical_time
    from ...reports import point_line, shown, summary
    from ...theory import null_of_result

    times = dataset["snapshot_time"].to_numpy()
    predicted = predicted_critical_time(times, dataset["receptive_sites"].to_numpy(), model.schedule)
    lines = [f"{'predicted critical times':<36}{'t':>14}{'95 % interval':>20}{'found':>9}"]
    lines.append(point_line("log(1 + Omega), receptive field", predicted))
    omega = dataset.attrs.get("data_omega")
    if omega is not None:
        lines.append(f"  {'log(1 + Omega), data covariance':<34}{math.log1p(omega):14.4g}     Omega = {omega:.4g}")
    null = null_of_result(dataset)
    if null is not None:
        grown = log_time_derivative(null["xi_x"].to_numpy(), null["time"].to_numpy())
        fastest = f"     xi_x fastest at {float(null['time'][int(grown.argmin())]):.4g}"
        lines.append(f"  {'lambda_0 = 0, Gaussian null':<34}{shown(null.attrs['critical_time']):>14}{fastest}")
    lines += summary(dataset).measured_lines()
    lines += _sanity_lines(dataset)
    lines.append("local response, medians: radius that holds 90 and 95 % of it, share off the diagonal")
    lines.append(f"{'t':>10}{'90 %':>10}{'95 %':>10}{'Omega':>12}{'off-diag':>12}{'shift defect':>13}{'soft |k|':>12}")
    median = dataset.median("trajectory")
    mean = dataset["dispersion"].mean("trajectory").to_numpy()
    length = np.hypot(dataset["ky"].to_numpy()[:, None], dataset["kx"].to_numpy()).ravel()
    for index, t in enumerate(times):
        at = median.isel(snapshot_time=index)
        radii = at["receptive_radius"].to_numpy()
        softest = length[mean[index].argmin()]
        lines.append(
            f"{t:10.3g}{radii[0]:10.3g}{radii[1]:10.3g}{float(at['receptive_sites']):12.3g}"
            f"{float(at['off_diagonal_share']):12.3f}{float(at['shift_defect']):13.3f}{softest:12.3g}"
        )
    return "\n".join(lines)


def _sanity_lines(dataset: "xr.Dataset") -> list[str]:
    """What an exact score would give at the first time, where the data have no effect yet, and at the last."""
    first = dataset.isel(time=0)
    found = first["mode_derivative"].isel(direction=slice(0, 2)).mean("direction").median("trajectory").to_numpy()
    t = float(first["time"])
    exact = -0.5 - 1.0 / math.expm1(-t)
    lines = [f"lambda_n at t = {t:.3g}, n = 0 … {len(found) - 1}: {'  '.join(f'{value:.3f}' for value in found)}"]
    lines[0] += f"     (without data {exact:.3f})"
    size = float(np.sqrt((dataset["final"].to_numpy().astype(np.float64) ** 2).mean()))
    lines.append(f"{'final root mean square of x':<36}{size:14.4g}")
    if size > _LARGEST:
        tell(
            f"fastpatch: the fields grew to {size:.3g} where the data are within [-1, 1], because the network's drift "
            "is unstable at large t; expected longer training, or a smaller --t-max"
        )
    return lines
