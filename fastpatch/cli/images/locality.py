"""``fastpatch images locality``."""

from pathlib import Path
from typing import Annotated

import typer

from .. import options
from .common import HeldOut, Images, Threshold, at_time, both_sets, version_of

__all__ = ["locality"]


def locality(
    images: Images = None,
    held_out: HeldOut = None,
    threshold: Threshold = 127.0,
    count: Annotated[int, typer.Option(help="Images of each set, the first of them.")] = 100,
    levels: Annotated[int, typer.Option(help="Noise levels, evenly spaced in log t.")] = 12,
    t_max: options.TMax = 5.0,
    t_min: options.TMin = 0.02,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of `fastpatch images train`; the shipped ones by default.")
    ] = None,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    data: options.Data = None,
    out: options.Out = Path("runs/images-locality"),
    quiet: options.Quiet = False,
) -> None:
    """A network that sees exactly one patch beside the patch machine of the same images, by noise level.

    The machine has the least error that such a network can have, on the images that it is made of. What is finished is
    kept in --out: an interrupted run goes on from there. Writes locality.nc and locality.png.
    """
    with options.packages_for("the network"):
        from ...neural.local.model import LocalModel

    from ...analysis.figures import save_figure
    from ...dictionary import PatchDictionary
    from ...models import PatchModel
    from ...process import log_time_grid
    from ...results import save
    from ...studies.locality import compare_with_machine, draw_locality_test, locality_report
    from ..experiment import set_threads

    set_threads(threads)
    network = LocalModel.shipped() if weights is None else LocalModel.load(weights)
    training, test = both_sets(images, held_out, count, threshold, data)
    size = network.net.size

    dataset = compare_with_machine(
        network,
        lambda: PatchModel(PatchDictionary.from_images(training, size)),
        {"training": training[:count], "held-out": test},
        log_time_grid(t_max, t_min, levels - 1),
        seed=seed,
        version=version_of(training),
        folder=out,
        progress=at_time(quiet),
    )
    save(dataset, out / "locality.nc")
    title = f"network of {size}×{size} pixels and patch machine of {len(training)} images"
    save_figure(draw_locality_test(dataset, title), out / "locality.png")
    print(locality_report(dataset))
    print(f"wrote {out / 'locality.nc'}\n      {out / 'locality.png'}")
