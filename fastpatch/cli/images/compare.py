"""``fastpatch images compare``."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InvalidInputError
from ...messages import tell
from .. import options
from .common import HeldOut, Images, Threshold, at_time, both_sets, version_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...models import Model
    from ...studies.denoising import Lazy

__all__ = ["compare"]

# The flow starts from noise here, where a thousandth of the field is data, and has this many steps.
_FLOW_T_MAX, _FLOW_STEPS = 10.0, 24


def compare(
    images: Images = None,
    held_out: HeldOut = None,
    threshold: Threshold = 127.0,
    count: Annotated[int, typer.Option(help="Held-out images, the first of them, and flows from noise.")] = 100,
    fewer: Annotated[int, typer.Option(help="Images and flows of 7x7 patches, which take seconds a step.")] = 12,
    levels: Annotated[int, typer.Option(help="Noise levels, evenly spaced in log t.")] = 12,
    t_max: options.TMax = 5.0,
    t_min: options.TMin = 0.02,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of the U-Net to compare with; the shipped ones by default.")
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Weights of another U-Net among the denoisers, known by its file's name; may be repeated."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this denoiser; may be repeated.")] = None,
    flows: Annotated[bool, typer.Option(help="Also along the flow of the U-Net, and the end images of each.")] = True,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    data: options.Data = None,
    out: options.Out = Path("runs/images-compare"),
    quiet: options.Quiet = False,
) -> None:
    """The analytic denoisers and the trained networks: error on held-out images, agreement with the U-Net.

    Agreement by noise level on noised test images and along the U-Net's deterministic flow from noise, and that of the
    end images which each denoiser's own flow reaches from the same noise. What is finished is kept in --out: an
    interrupted run goes on from there. Writes denoisers.nc and denoisers.png, flows.nc and ends.png.
    """
    from ...analysis.figures import save_figure
    from ...process import log_time_grid
    from ...results import save
    from ...studies.denoiser_flows import compare_flows
    from ...studies.denoiser_report import denoiser_report, draw_denoisers, draw_ends, flow_report
    from ...studies.denoising import compare_denoisers
    from ..experiment import set_threads

    set_threads(threads)
    training, test = both_sets(images, held_out, count, threshold, data)
    denoisers, versions, reference = _denoisers(training, images, weights, beside or [], only)

    shared: dict[str, Any] = {"seed": seed, "folder": out, "counts": {"patches 7": fewer}, "versions": versions}
    dataset = compare_denoisers(
        denoisers,
        test,
        log_time_grid(t_max, t_min, levels - 1),
        reference=reference,
        progress=at_time(quiet),
        **shared,
    )
    save(dataset, out / "denoisers.nc")
    save_figure(draw_denoisers(dataset), out / "denoisers.png")
    print(denoiser_report(dataset))
    written = [out / "denoisers.nc", out / "denoisers.png"]
    if flows and reference is not None and count > 1:
        found = compare_flows(
            denoisers,
            (test.shape[1], test.shape[2]),
            count,
            log_time_grid(_FLOW_T_MAX, t_min, _FLOW_STEPS),
            reference=reference,
            progress=None if quiet else lambda name, n: tell(f"{name}, {n} flows"),
            **shared,
        )
        save(found, out / "flows.nc")
        save_figure(draw_ends(found), out / "ends.png")
        print("\n" + flow_report(found))
        written += [out / "flows.nc", out / "ends.png"]
    print("wrote " + "\n      ".join(map(str, written)))


def _denoisers(
    training: "NDArray[np.float32]",
    images: Path | None,
    weights: Path | None,
    beside: list[Path],
    only: list[str] | None,
) -> tuple[dict[str, "Lazy"], dict[str, str], str | None]:
    """By name, what makes each denoiser and what it is made of; the name of the one the others are compared with."""
    from ...studies.image_denoisers import image_denoisers

    found: dict[str, Lazy] = dict(image_denoisers(training))
    versions = dict.fromkeys(found, version_of(training))
    networks: dict[str, Callable[[], Model]] = {}
    if images is None or weights is not None or beside:
        with options.packages_for("the U-Net"):
            from ...neural.local.model import LocalModel
            from ...neural.unet.model import UNetModel
        if images is None or weights is not None:
            networks["U-Net"] = UNetModel.shipped if weights is None else partial(UNetModel.load, weights)
        if images is None and weights is None:
            networks["U-Net of the noise"] = partial(UNetModel.shipped, prediction="epsilon")
        for path in beside:
            if path.stem in networks or path.stem in found:
                raise InvalidInputError(f"--beside is {path}, whose name is taken; expected files of different names")
            networks[path.stem] = partial(UNetModel.load, path)
        if images is None:
            networks["network of 5x5"] = LocalModel.shipped
        found = {**networks, **found}
    if only:
        unknown = sorted(set(only) - set(found))
        if unknown:
            raise InvalidInputError(f"--only is {unknown[0]!r}; expected one of {', '.join(found)}")
        found = {name: maker for name, maker in found.items() if name in only}
    # Networks that are wanted are loaded at once: their weights are what kept results are told apart by.
    found |= {name: load() for name, load in networks.items() if name in found}
    return found, versions, "U-Net" if "U-Net" in found else None
