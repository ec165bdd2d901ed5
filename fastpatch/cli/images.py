"""``fastpatch images``: the patch machine of a set of images, and how well it denoises beside other denoisers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The patch machine of a set of images.")

Images = Annotated[
    Path | None,
    typer.Option(help="Images: an IDX or .npy file or a folder of pictures; Fashion-MNIST by default."),
]
Threshold = Annotated[float, typer.Option(help="Grey value above which a pixel of --images counts as +1.")]


@app.command("run")
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
    from ..dictionary import PatchDictionary
    from ..models import GaussianModel, PatchModel
    from ..process import log_time_grid
    from ..results import save
    from ..runs.simulation import simulate
    from ..studies.image_runs import draw_with_null, image_report
    from .experiment import run_experiment, set_threads

    set_threads(threads)
    found = _training_images(images, threshold, data)
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
        from ..analysis.figures import save_figure

        mean = float(found.mean(dtype="float64"))
        null = simulate(GaussianModel.from_dictionary(dictionary, lattice), **arguments)
        save(null, out / "null.nc")
        save_figure(draw_with_null(dataset, null, title), out / "null.png")
        return image_report(dataset, null, dictionary, mean)

    run_experiment(model, out, title, report=report, quiet=quiet, **arguments)


@app.command("compare")
def compare(
    images: Images = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Images to denoise, with --images; Fashion-MNIST's test images by default.")
    ] = None,
    threshold: Threshold = 127.0,
    count: Annotated[int, typer.Option(help="Held-out images, the first of them.")] = 100,
    levels: Annotated[int, typer.Option(help="Noise levels, evenly spaced in log t.")] = 12,
    t_max: options.TMax = 5.0,
    t_min: options.TMin = 0.02,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of the U-Net to compare with; the shipped ones by default.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this denoiser; may be repeated.")] = None,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    data: options.Data = None,
    out: options.Out = Path("runs/images-compare"),
    quiet: options.Quiet = False,
) -> None:
    """Squared error on held-out images of the analytic denoisers and of the trained U-Net, by noise level.

    What is finished is kept in --out: an interrupted run goes on from there. Writes denoisers.nc and denoisers.png.
    """
    import sys

    import numpy as np

    from ..analysis.figures import save_figure
    from ..errors import InvalidInputError
    from ..image_files import binarised, load_image_file
    from ..process import log_time_grid
    from ..results import save
    from ..studies.denoising import compare_denoisers
    from ..studies.image_denoisers import denoiser_report, draw_denoisers, image_denoisers
    from .experiment import set_threads

    set_threads(threads)
    if (images is None) != (held_out is None):
        raise InvalidInputError("only one of --images and --held-out is given; expected both or neither")
    training = _training_images(images, threshold, data)
    if held_out is None:
        with options.packages_for("reading Fashion-MNIST"):
            from ..neural.data import load_images
        test = load_images("test", "binarised", data)[:, 0]
    else:
        test = binarised(load_image_file(held_out), threshold).astype(np.float32)
    if not 1 <= count <= len(test):
        raise InvalidInputError(f"--count is {count}; expected 1 to {len(test)} held-out images")
    denoisers: dict[str, Any] = dict(image_denoisers(training))
    reference = None
    if images is None or weights is not None:
        with options.packages_for("the U-Net"):
            from ..neural.unet.model import UNetModel
            from ..neural.unet.weights import shipped_weights
        denoisers = {"U-Net": lambda: UNetModel.load(weights or shipped_weights("binarised")), **denoisers}
    if only:
        unknown = sorted(set(only) - set(denoisers))
        if unknown:
            raise InvalidInputError(f"--only is {unknown[0]!r}; expected one of {', '.join(denoisers)}")
        denoisers = {name: maker for name, maker in denoisers.items() if name in only}
    if "U-Net" in denoisers:
        reference = "U-Net"

    def progress(name: str, t: float) -> None:
        if not quiet:
            print(f"{name}, t = {t:.3g}", file=sys.stderr)

    dataset = compare_denoisers(
        denoisers,
        test[:count],
        log_time_grid(t_max, t_min, levels - 1),
        reference=reference,
        seed=seed,
        folder=out,
        progress=progress,
    )
    save(dataset, out / "denoisers.nc")
    save_figure(draw_denoisers(dataset), out / "denoisers.png")
    print(denoiser_report(dataset))
    print(f"wrote {out / 'denoisers.nc'}\n      {out / 'denoisers.png'}")


def _training_images(images: Path | None, threshold: float, data: Path | None) -> "NDArray[np.float32]":
    """Images (N, H, W) of +-1: those of a file, or Fashion-MNIST's training images."""
    import numpy as np

    from ..image_files import binarised, load_image_file

    if images is not None:
        return binarised(load_image_file(images), threshold).astype(np.float32)
    with options.packages_for("reading Fashion-MNIST"):
        from ..neural.data import load_images
    return load_images("train", "binarised", data)[:, 0]
