"""``fastpatch network trial``: does guiding in the measured window work (docs/window.md)?"""

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from .. import options

__all__ = ["trial"]

_LEVELS = 16


def trial(
    blocks: Annotated[int, typer.Option(help="Blocks of ten images, one of each class.")] = 10,
    step_blocks: Annotated[int, typer.Option(help="Blocks for the comparison of step grids.")] = 4,
    runs: Annotated[int, typer.Option(help="Test images whose information is measured.")] = 60,
    sigma_c: Annotated[float | None, typer.Option(help="The paper's critical level, of `edm2 analyze`.")] = None,
    sigma_first: Annotated[float | None, typer.Option(help="The first peak of xi_eq, likewise.")] = None,
    data: options.Data = None,
    batch: Annotated[int, typer.Option(help="Most images at once.")] = 32,
    out: options.Out = Path("runs/window-trial"),
    quiet: options.Quiet = False,
) -> None:
    """Guidance in the measured window against every other, on the shipped network; resumes where it was stopped.

    Writes measurement.nc, the blocks, trial-report.json and trial.png.
    """
    with options.packages_for("the trial"):
        from ...neural.classifiers import FashionClassifier
        from ...neural.classifiers.fashion import shipped_classifier
        from ...neural.data import load_images, load_labels, pad_images
        from ...neural.edm2 import load, shipped_network
        from ...neural.probes.information import measure_information
        from ...neural.window import guidance_window
        from ...neural.window.report import fastest_growth_of_images, trial_report, trial_table
        from ...neural.window.trial import TrialSettings
        from ...neural.window.trial import blocks as run_blocks
        from ...neural.window.trial import step_blocks as run_steps
    from ...analysis import figures
    from ...atomic import atomic_path, writable_directory
    from ...results import load as load_result
    from ...results import save

    settings = TrialSettings()
    directory = writable_directory(out)
    net = load(shipped_network())
    images = pad_images(load_images("test", "grey", data))
    labels = load_labels("test", data).astype(np.int64)
    path = directory / "measurement.nc"
    if not path.exists():
        levels = np.geomspace(settings.sigma_max, settings.sigma_min, _LEVELS)
        measured = measure_information(net, images, labels, sigmas=levels, runs=runs, batch=batch)
        save(measured, path)
    measured = load_result(path)
    judges = [FashionClassifier.load(shipped_classifier(name)) for name in ("convolutional", "perceptron")]

    def show(block: int) -> None:
        if not quiet:
            print(f"block {block + 1} of {blocks}", file=sys.stderr)

    made = list(run_blocks(net, "zero-label", judges, settings, blocks, directory, batch=batch, done=show))
    sigma = measured["sigma"].to_numpy()
    rates = {name: (sigma, measured[f"{name}_rate"].mean("image").to_numpy()) for name in ("total", "class")}
    steps = list(run_steps(net, settings, rates, step_blocks, directory, batch=batch))
    window = guidance_window(measured)
    report = trial_report(
        made, steps, window, settings, judges[0], images[:2000],
        {"sigma_c": sigma_c, "sigma_first": sigma_first, "xi_x growth": fastest_growth_of_images(images[:64])},
    )  # fmt: skip
    with atomic_path(directory / "trial-report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1, allow_nan=False), encoding="utf-8")
    figures.save_figure(figures.draw_trial(report), directory / "trial.png")
    print(trial_table(report))
    print(f"wrote {directory / 'trial-report.json'}, {directory / 'trial.png'}")
