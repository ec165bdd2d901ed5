"""``fastpatch edm2 sample``."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from ...errors import InvalidInputError
from ...messages import has_terminal
from .. import options
from ..experiment import publish
from . import common

if TYPE_CHECKING:
    import xarray as xr

    from ...neural import Samples
    from ...neural.edm2 import EDM2Network

__all__ = ["sample", "sample_report"]


def sample(
    weights: common.Weights = None,
    classes: common.Classes = None,
    count: Annotated[int, typer.Option(help="Samples of each class.")] = 8,
    guidance: Annotated[float, typer.Option(help="Weight w of D + w (D - D_u); EDM2's g is 1 + w.")] = 0.0,
    guide: common.GuideName = "zero-label",
    pulse: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Guide only where sigma is within HALF of CENTRE.", metavar="CENTRE HALF"),
    ] = None,
    band: Annotated[
        Literal["all", "low", "high"], typer.Option(help="Guide these spatial frequencies of D - D_u alone.")
    ] = "all",
    cutoff: Annotated[float, typer.Option(help="Highest shell n of the band low.")] = 3.0,
    steps: Annotated[int, typer.Option(help="Steps from sigma 80 to 0.002, then 0.")] = 32,
    seed: options.Seed = 0,
    batch: common.Batch = None,
    device: options.Device = "auto",
    out: options.Out = Path("runs/edm2-samples"),
    quiet: options.Quiet = False,
) -> None:
    """A row of samples of each class, without guidance, with it, or with a pulse of it.

    Writes result.nc and samples.png.
    """
    with options.packages_for("sampling"):
        from ...neural import Pulse, chosen_classes, constant, latents
        from ...neural import sample as run

    from ...atomic import exclusive_directory
    from ...validation import integer

    if pulse is not None and guidance == 0.0:
        raise InvalidInputError("a pulse is given with guidance 0; expected --guidance with the weight inside it")
    net = common.load_network(weights, device)
    number = integer(count, "count", minimum=1)
    labels = np.repeat(np.array(chosen_classes(net, common.parsed_classes(classes, net)), dtype=np.int64), number)
    images = max(len(labels), number)
    first = integer(seed, "seed", minimum=0, maximum=2**64 - images)
    seeds = range(first, first + images)
    guided = guidance != 0.0
    with exclusive_directory(out, "run") as directory:
        begin = time.perf_counter()
        made = run(
            net,
            latents(seeds, net),
            labels if len(labels) else None,
            guide=common.load_guide(guide, device) if guided else None,
            guidance=(constant(guidance) if pulse is None else Pulse(*pulse, guidance)) if guided else None,
            band=band,
            cutoff=cutoff,
            steps=steps,
            batch=batch,
            progress=not quiet and has_terminal(),
        )
        simulated = time.perf_counter() - begin
        settings = {
            "guidance": guidance,
            "guide": guide,
            "pulse": pulse,
            "band": band,
            "cutoff": cutoff,
            "steps": steps,
        }
        dataset = _dataset(net, made, labels, seeds, settings)
        dataset.attrs["title"] = common.title(net, weights)
        publish(dataset, directory, sample_report, begin=begin, simulated=simulated)


def _dataset(net: "EDM2Network", made: "Samples", labels: Any, seeds: Any, settings: dict[str, Any]) -> "xr.Dataset":
    import xarray as xr

    from ...neural.identity import network_identity
    from ...provenance import environment

    run = {"network": network_identity(net), **settings}
    coordinates = {
        "seed": ("trajectory", np.array(seeds, dtype=np.uint64), {"long_name": "seed of the noise", "units": "1"})
    }
    if len(labels):
        coordinates["class_label"] = ("trajectory", labels, {"long_name": "class index", "units": "1"})
    return xr.Dataset(
        {"final": (("trajectory", "channel", "y", "x"), made.images.numpy(), {"long_name": "sample", "units": "1"})},
        coords=coordinates,
        attrs={
            "provenance": json.dumps({"run": run, "environment": environment()}, sort_keys=True),
            "evaluations": made.evaluations,
            "guide_evaluations": made.guide_evaluations,
        },
    )


def sample_report(dataset: "xr.Dataset") -> str:
    """How many samples there are, and what they took, as an aligned table."""
    counts = {
        "samples": dataset.sizes["trajectory"],
        "network evaluations a sample": dataset.attrs["evaluations"],
        "guide evaluations a sample": dataset.attrs["guide_evaluations"],
    }
    return "\n".join(f"{label:<36}{count:14d}" for label, count in counts.items())
