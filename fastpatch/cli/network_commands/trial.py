"""``fastpatch network trial``: does guiding in the measured window work (docs/window.md)?"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ...errors import InvalidInputError
from ...validation import integer
from .. import options
from ..edm2 import common

if TYPE_CHECKING:
    from ...neural.edm2 import EDM2Network
    from ...neural.window.trial import TrialSettings

__all__ = ["trial"]

_LEVELS = 16


def trial(
    weights: common.Weights = None,
    blocks: Annotated[int, typer.Option(help="Blocks of ten images, one of each class.")] = 10,
    step_blocks: Annotated[int, typer.Option(help="Blocks for the comparison of step grids.")] = 4,
    runs: Annotated[int, typer.Option(help="Test images whose information is measured.")] = 60,
    analysis: Annotated[
        Path | None,
        typer.Option(help="A result.nc of `fastpatch edm2 analyze` of these weights: sigma_c and the first peak."),
    ] = None,
    sigma_c: Annotated[float | None, typer.Option(help="The paper's critical level in its place.")] = None,
    sigma_first: Annotated[float | None, typer.Option(help="The first peak of xi_eq in its place.")] = None,
    data: options.Data = None,
    batch: Annotated[int, typer.Option(help="Most images at once.")] = 32,
    out: options.Out = Path("runs/window-trial"),
    quiet: options.Quiet = False,
) -> None:
    """Guidance in the measured window against every other, on the shipped network or another of Fashion-MNIST.

    Resumes where it was stopped, and says beforehand what is still to be done. Writes measurement.nc, the blocks,
    trial-report.json and trial.png.
    """
    with options.packages_for("the trial"):
        from ...neural.classifiers import FashionClassifier
        from ...neural.classifiers.fashion import shipped_classifier
        from ...neural.data import load_images, load_labels, pad_images
        from ...neural.probes.information import measure_information
        from ...neural.window import guidance_window
        from ...neural.window.report import fastest_growth_of_images, trial_report, trial_table
        from ...neural.window.trial import TrialSettings
        from ...neural.window.trial import blocks as run_blocks
        from ...neural.window.trial import step_blocks as run_steps
    from ...analysis import figures
    from ...atomic import atomic_path, exclusive_directory
    from ...results import save

    for count, name, least in ((blocks, "blocks", 1), (step_blocks, "step_blocks", 0), (runs, "runs", 1)):
        integer(count, name, minimum=least)
    settings = TrialSettings()
    net = common.load_network(weights, "cpu")
    print(_network_line(net.card, weights))
    images = pad_images(load_images("test", "grey", data), net.img_resolution)
    labels = load_labels("test", data).astype(np.int64)
    judges = [FashionClassifier.load(shipped_classifier(name)) for name in ("convolutional", "perceptron")]
    centres = {"sigma_c": sigma_c, "sigma_first": sigma_first}
    if analysis is not None:
        centres |= {name: value for name, value in _critical_levels(analysis, net).items() if centres[name] is None}

    with exclusive_directory(out, "trial") as directory:
        if not quiet:
            print(_cost_line(net, settings, directory, blocks, step_blocks, runs, batch), flush=True)
        levels = np.geomspace(settings.sigma_max, settings.sigma_min, _LEVELS)
        measured = measure_information(
            net, images, labels, sigmas=levels, runs=runs, batch=batch, checkpoint=directory / "measurement"
        )
        save(measured, directory / "measurement.nc")

        def show(block: int) -> None:
            if not quiet:
                print(f"block {block + 1} of {blocks}", file=sys.stderr)

        made = list(
            run_blocks(net, "zero-label", judges, settings, blocks, directory / "intervals", batch=batch, done=show)
        )
        sigma = measured["sigma"].to_numpy()
        rates = {name: (sigma, measured[f"{name}_rate"].mean("image").to_numpy()) for name in ("total", "class")}
        steps = list(run_steps(net, settings, rates, step_blocks, directory / "steps", batch=batch))
        report = trial_report(
            made, steps, guidance_window(measured), settings, judges[0], images[:2000],
            {**centres, "xi_x growth": fastest_growth_of_images(images[:64])},
        )  # fmt: skip
        report["network"] = {"file": weights or "shipped", "epochs": net.card.get("epochs")}
        with atomic_path(directory / "trial-report.json") as temporary:
            temporary.write_text(json.dumps(report, indent=1, allow_nan=False), encoding="utf-8")
        figures.save_figure(figures.draw_trial(report), directory / "trial.png")
        print(trial_table(report))
        print(f"wrote {directory / 'trial-report.json'}, {directory / 'trial.png'}")


def _network_line(card: Mapping[str, Any], weights: str | None) -> str:
    """Which network it is, as its card says."""
    facts = [f"{name} {card[name]}" for name in ("epochs", "date") if card.get(name) is not None]
    return f"network: {weights or 'edm2-fashion.safetensors, shipped'}" + (f" ({', '.join(facts)})" if facts else "")


def _critical_levels(file: Path, net: "EDM2Network") -> dict[str, float]:
    """sigma_c and sigma_first of an analysis; `InvalidInputError` where it is of another network."""
    from ...neural.identity import network_identity
    from ...results import load, provenance

    dataset = load(file)
    found = provenance(dataset, file)["run"].get("network")
    if not isinstance(found, dict) or found.get("weights_sha256") != network_identity(net)["weights_sha256"]:
        raise InvalidInputError(
            f"{file} is no analysis of this network; expected a result of `fastpatch edm2 analyze` with its weights"
        )
    return {name: float(dataset.attrs[name]) for name in ("sigma_c", "sigma_first")}


def _cost_line(
    net: "EDM2Network",
    settings: "TrialSettings",
    directory: Path,
    blocks: int,
    step_blocks: int,
    runs: int,
    batch: int,
) -> str:
    """Evaluations that are still to be made, and the minutes that they take at the speed of one batch."""
    import torch

    from ...neural import latents
    from ...neural.window.trial import grid_evaluations, step_evaluations

    def missing(folder: str, stem: str, count: int) -> int:
        return sum(not (directory / folder / f"{stem}-{at:04d}.npz").exists() for at in range(count))

    images = net.label_dim
    evaluations = (
        missing("measurement", "level", _LEVELS) * 2 * runs
        + missing("intervals", "intervals", blocks) * grid_evaluations(settings, images)
        + missing("steps", "steps", step_blocks) * step_evaluations(settings, images, 2)
    )
    noise = latents(range(min(batch, 16)), net)
    with torch.no_grad():
        net(noise, 1.0)
        begin = time.perf_counter()
        net(noise, 1.0)
    minutes = evaluations * (time.perf_counter() - begin) / len(noise) / 60.0
    return f"{'evaluations still to be made':<36}{evaluations:14d}     about {minutes:.0f} min as the machine is now"
