"""``fastpatch images run``."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ...errors import InvalidInputError
from .. import options
from .common import Images, Threshold, training_images

__all__ = ["run"]

# Derivatives of the network are most of the time of its runs.
_NETWORK_RECORDS = 50
# Images that the median correlation length is taken of, evenly spread.
_IMAGES_MEASURED = 2000


def run(
    images: Images = None,
    threshold: Threshold = 127.0,
    patch_size: Annotated[int, typer.Option(help="Odd side of a patch, 3, 5 or 7.")] = 5,
    boundary: Annotated[
        Literal["periodic", "interior"], typer.Option(help="Patches that wrap around, or only those within an image.")
    ] = "periodic",
    shape: Annotated[
        str | None,
        typer.Option(help="Lattice sides, as 80 or 200x120; the images' by default.", metavar="L or L1xL2"),
    ] = None,
    t_max: options.TMax = 50.0,
    t_min: options.TMin = 1e-3,
    steps: options.Steps = 250,
    trajectories: options.Trajectories = 8,
    shells: options.Shells = 6,
    seed: options.Seed = 0,
    dtype: options.Dtype = "float32",
    threads: options.Threads = None,
    record_every: options.RecordEvery = 1,
    snapshots: options.Snapshots = 5,
    unet: Annotated[bool, typer.Option(help="With Fashion-MNIST on its own lattice, runs of the U-Net beside.")] = True,
    weights: Annotated[Path | None, typer.Option(help="That U-Net's weights; the shipped ones by default.")] = None,
    data: options.Data = None,
    out: options.Out = Path("runs/images"),
    quiet: options.Quiet = False,
) -> None:
    """Runs from noise of the machine of all patches of the images, beside their Gaussian null and the trained U-Net.

    Writes result.nc, null.nc and unet.nc, figure3.png, denoising.png, and comparison.png with all on the same axes.
    """
    import numpy as np

    from ...analysis import correlation_length
    from ...dictionary import PatchDictionary
    from ...messages import has_terminal
    from ...models import GaussianModel, PatchModel
    from ...process import log_time_grid
    from ...results import save
    from ...runs.simulation import simulate
    from ...studies.image_runs import MACHINE, NETWORK, NULL, draw_runs, image_report, predicted_times
    from ..experiment import run_experiment, set_threads

    set_threads(threads)
    found = training_images(images, threshold, data)
    own = (found.shape[1], found.shape[2])
    lattice = own if shape is None else options.sides(shape)
    beside_network = unet and images is None and lattice == own
    if weights is not None and not beside_network:
        raise InvalidInputError(
            "--weights is given for a run without the U-Net; expected none with --images, another --shape or --no-unet"
        )
    # Now, so that weights that are none do not end the job when the rest of it is done.
    network = _unet(weights) if beside_network else None
    dictionary = PatchDictionary.from_images(found, patch_size, boundary)
    model = PatchModel(dictionary)
    arguments: dict[str, Any] = {
        "shape": lattice,
        "trajectories": trajectories,
        "times": log_time_grid(t_max, t_min, steps),
        "seed": seed,
        "dtype": dtype,
        "record_every": record_every,
        "snapshots": snapshots,
        "shells": range(shells + 1),
    }
    title = f"{len(dictionary)} patches of {patch_size}×{patch_size} of {len(found)} images"

    def report(dataset: Any) -> str:
        from ...analysis.figures import save_figure

        beside = {"progress": not quiet and has_terminal(), **arguments}
        runs = {MACHINE: dataset, NULL: simulate(GaussianModel.from_dictionary(dictionary, lattice), **beside)}
        save(runs[NULL], out / "null.nc")
        written = [out / "null.nc"]
        if network is not None:
            beside["record_every"] = max(record_every, -(-steps // _NETWORK_RECORDS))
            runs[NETWORK] = simulate(network, checkpoint=out / "unet.checkpoint", **beside)
            save(runs[NETWORK], out / "unet.nc")
            written.append(out / "unet.nc")
            (out / "unet.checkpoint").unlink(missing_ok=True)
        predicted = predicted_times(dictionary, lattice)
        save_figure(draw_runs(runs, predicted["closure"].value, title), out / "comparison.png")
        lengths = correlation_length(found[:: max(1, len(found) // _IMAGES_MEASURED)])
        text = image_report(runs, predicted, float(found.mean(dtype="float64")), float(np.median(lengths)))
        return f"{text}\nwrote " + ", ".join(map(str, (*written, out / "comparison.png")))

    run_experiment(model, out, title, report=report, quiet=quiet, **arguments)


def _unet(weights: Path | None) -> Any:
    with options.packages_for("the U-Net"):
        from ...neural.unet.model import UNetModel
    return UNetModel.shipped() if weights is None else UNetModel.load(weights)
