"""``fastpatch images run``."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .. import options
from .common import Images, Threshold, training_images

__all__ = ["run"]


def run(
    images: Images = None,
    threshold: Threshold = 127.0,
    patch_size: Annotated[int, typer.Option(help="Odd side of a patch, 3, 5 or 7.")] = 5,
    boundary: Annotated[
        Literal["periodic", "interior"], typer.Option(help="Patches that wrap around, or only those within an image.")
    ] = "periodic",
    shape: Annotated[tuple[int, int] | None, typer.Option(help="Lattice sides L1 L2; the images' by default.")] = None,
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
    data: options.Data = None,
    out: options.Out = Path("runs/images"),
    quiet: options.Quiet = False,
) -> None:
    """Runs from noise of the machine of all patches of the images, and of their Gaussian null.

    Writes result.nc and null.nc, figure3.png, denoising.png, and null.png with both.
    """
    from ...dictionary import PatchDictionary
    from ...models import GaussianModel, PatchModel
    from ...process import log_time_grid
    from ...results import save
    from ...runs.simulation import simulate
    from ...studies.image_runs import draw_with_null, image_report
    from ..experiment import run_experiment, set_threads

    set_threads(threads)
    found = training_images(images, threshold, data)
    dictionary = PatchDictionary.from_images(found, patch_size, boundary)
    lattice = (found.shape[1], found.shape[2]) if shape is None else shape
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

        mean = float(found.mean(dtype="float64"))
        null = simulate(GaussianModel.from_dictionary(dictionary, lattice), **arguments)
        save(null, out / "null.nc")
        save_figure(draw_with_null(dataset, null, title), out / "null.png")
        return image_report(dataset, null, dictionary, mean)

    run_experiment(model, out, title, report=report, quiet=quiet, **arguments)
