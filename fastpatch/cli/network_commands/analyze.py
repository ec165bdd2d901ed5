"""``fastpatch network analyze``."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...messages import has_terminal
from .. import options
from ..experiment import publish
from . import source as given

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["analyze"]


def analyze(
    source: given.Source,
    trajectories: Annotated[int, typer.Option(help="Independent trajectories of each class, or in all.")] = 2,
    steps: Annotated[int, typer.Option(help="Noise levels of the runs.")] = 32,
    shells: options.Shells = 6,
    derivatives: Annotated[
        Literal["auto", "jvp", "vjp", "finite-difference"],
        typer.Option(help="Exact by forward or reverse mode, or by differences; auto finds what the network allows."),
    ] = "auto",
    runs: given.Runs = 64,
    images: given.Images = None,
    labels: given.Labels = None,
    null_label: given.NullLabel = None,
    prompts: given.Prompts = None,
    guide: given.GuideName = None,
    share: given.Share = 0.9,
    null: options.Null = True,
    seed: options.Seed = 0,
    batch: Annotated[int | None, typer.Option(help="Most images at once, less if memory asks for it.")] = None,
    device: options.Device = "auto",
    out: options.Out = Path("runs/network"),
    quiet: options.Quiet = False,
) -> None:
    """Sampling runs, correlation length, softening, decided information and the guidance window of any network.

    Writes result.nc, figure1.png, softening.png and information.png. The Gaussian null of --images stands beside the
    network. Stopped on its way, the same command goes on from what OUT/parts holds.
    """
    with options.packages_for("analysing a network"):
        from ...kept_parts import remove_parts
        from ...neural import analyze as run

    from ...atomic import exclusive_directory

    given.check_share(share)
    clean, classes = given.data_options(images, labels)
    net = given.load_denoiser(source, device, null_label, prompts)
    with exclusive_directory(out, "run") as directory:
        begin = time.perf_counter()
        dataset = run(
            net, None, trajectories, seed, steps=steps, shells=range(shells + 1), method=derivatives,
            information_runs=runs, images=clean, image_labels=classes, guide=given.load_guide(guide, device), null=null,
            batch=batch, checkpoint=directory / "parts", progress=not quiet and has_terminal(),
        )  # fmt: skip
        simulated = time.perf_counter() - begin
        dataset.attrs["title"] = given.title(source, net)
        publish(dataset, directory, lambda result: _report(result, share), begin=begin, simulated=simulated, null=null)
        remove_parts(directory / "parts")


def _report(dataset: "xr.Dataset", share: float) -> str:
    from ...neural.window import guidance_window
    from ...reports import summary
    from .window import window_lines

    lines = [*summary(dataset).measured_lines(), f"{'derivatives':<36}{dataset.attrs['derivatives']:>14}"]
    if "total_rate" not in dataset:  # --runs 0
        return "\n".join(lines)
    lines += window_lines(guidance_window(dataset, share))
    if "null_class_rate" in dataset:
        rate = {"total_rate": dataset["null_total_rate"], "class_rate": dataset["null_class_rate"]}
        null = guidance_window(dataset.drop_vars([*rate, "conditional_rate"]).assign(rate), share)
        lines.append("Gaussian null of the images' moments")
        ends = f"{null.sigma_high:14.4g}     to {null.sigma_low:.4g}"
        lines.append(f"  {'sigma, its window':<34}{ends}" if null.answer else f"  no window: {null.verdict}")
    return "\n".join(lines)
