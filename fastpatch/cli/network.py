"""What ``fastpatch unet analyze`` and ``fastpatch unet sample`` compute beside the run itself, and print."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..analysis import log_time_derivative
from ..analysis.statistics import standard_error
from ..errors import InvalidInputError
from ..messages import has_terminal, tell
from ..validation import integer
from . import options

if TYPE_CHECKING:
    import xarray as xr

    from ..neural.data import Split, Variant
    from ..neural.devices import Precision
    from ..neural.torch_model import Method
    from ..neural.unet.model import UNetModel
    from ..neural.unet.network import Prediction

__all__ = [
    "analysis_report",
    "beside_data",
    "find_images",
    "locality",
    "response_times",
    "sample_report",
    "sample_statistics",
    "title",
    "unet_model",
]

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


def _variant_of(grey: bool, weights: Path | None) -> "Variant":
    """Which images a network is compared with: ``--grey``, which a file of weights that says must not contradict.

    Raises `InvalidInputError` where it does, and what `read_card` raises.
    """
    asked: Variant = "grey" if grey else "binarised"
    if weights is not None:
        from ..neural.unet.weights import read_card

        trained = read_card(weights).get("variant", asked)
        if trained != asked:
            raise InvalidInputError(
                f"{weights} was trained on {trained} images; expected it {'without' if grey else 'with'} --grey"
            )
    return asked


def unet_model(
    grey: bool,
    weights: Path | None,
    prediction: "Prediction",
    device: str,
    precision: "Precision | Literal['auto']",
    method: "Method" = "vjp",
) -> "tuple[UNetModel, Variant]":
    """The network of the named file, or the one that is shipped, on ``device`` ("auto": CUDA where there is one).

    With which images it is compared with: those of ``grey``, which the file must not contradict.
    """
    with options.packages_for("the U-Net"):
        from ..neural.devices import default_precision, resolve_device
        from ..neural.unet.model import UNetModel

    variant = _variant_of(grey, weights)
    place = resolve_device(None if device == "auto" else device)
    chosen = default_precision(place) if precision == "auto" else precision
    if weights is None:
        model = UNetModel.shipped(variant, prediction, method=method, device=place, precision=chosen)
    else:
        model = UNetModel.load(weights, method=method, device=place, precision=chosen)
    return model, variant


def title(model: "UNetModel") -> str:
    """What the figures are of."""
    card = before = model.card
    epochs = str(card.get("epochs"))
    while before := before.get("continues") or {}:
        # Of weights that predict something else: their card keeps its architecture, and their epochs are not counted.
        if "architecture" in before:
            epochs = f"{before['epochs']} + {epochs}"
    plural = "" if epochs == "1" else "s"
    of_v = ", predicting v" if model.net.prediction == "v" else ""
    return f"U-Net{of_v}, {card.get('variant')} Fashion-MNIST, {epochs} epoch{plural} of training"


def find_images(split: "Split", variant: "Variant", data: Path | None) -> NDArray[np.float32] | None:
    """The images (n, 28, 28) if they are on this machine, else None and a line on standard error.

    A directory that the user names must hold them.
    """
    from ..neural.data import DataFileError, load_images

    try:
        return load_images(split, variant, data, download=False)[:, 0]
    except DataFileError as error:
        if data is not None:
            raise
        tell(f"fastpatch: nothing is compared with the data, because {error}")
        return None


def beside_data(
    dataset: "xr.Dataset", images: NDArray[np.float32], model: "UNetModel", *, null: bool = True
) -> "xr.Dataset":
    r"""The dataset with Omega as the covariance of the training images has it, and with ``null`` their Gaussian null.

    The null has the images' full covariance: one of their translation-averaged spectrum would have no turn of lambda_0.

    For x ~ N(0, 1) at large t the posterior is the data's own distribution, and the response of the posterior mean to
    a uniform change of x is alpha/sigma^2 times the sum over a row of the data's covariance, averaged over rows:
    the number of sites times the variance of the mean pixel. It takes the place of Omega in eq. 30.
    """
    from ..models.wiener import WienerModel
    from ..theory import with_null

    omega = images[0].size * float(images.mean(axis=(-2, -1), dtype=np.float64).var())
    found = dataset.assign_attrs(data_omega=omega)
    return with_null(found, WienerModel(images, model.schedule)) if null else found


def locality(model: "UNetModel", dataset: "xr.Dataset", *, quiet: bool, **arguments: Any) -> "xr.Dataset":
    """The dataset with the local response, and the critical time that the theory makes of it."""
    from ..neural.probes.locality import measure_locality
    from ..neural.probes.receptive_field import predicted_critical_time

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
    from ..neural.probes.receptive_field import predicted_critical_time
    from ..reports import point_line, shown, summary
    from ..theory import null_of_result

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


def sample_statistics(
    dataset: "xr.Dataset",
    train: NDArray[np.float32] | None,
    test: NDArray[np.float32] | None,
    *,
    binarised: bool,
    seed: int,
) -> "xr.Dataset":
    """The final fields and the snapshots, without the records along the way, and their statistics beside the data's."""
    from ..neural.probes.sample_statistics import compare_with_data

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
