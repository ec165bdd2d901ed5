"""``fastpatch edm2 pulse``."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ...messages import has_terminal
from .. import options
from ..experiment import publish
from . import common
from .pulse_inputs import ARCHITECTURES, critical_level, load_classifier, null_network
from .pulse_report import report

if TYPE_CHECKING:
    from ...neural.pulse import PulseExperiment

__all__ = ["pulse"]

_CONTROLS = "random,step-matched,log-uniform,scan,bands,constant,neighbours,kicks"

# The null costs little an evaluation, and less in large batches.
_NULL_BATCH = 5


def pulse(
    weights: common.Weights = None,
    guide: common.GuideName = "zero-label",
    classifier: Annotated[
        str,
        typer.Option(
            help="convolutional, perceptron or both, which are shipped; a file of train-classifier; a directory with "
            "DINOv2. The second of both is shown beside the first."
        ),
    ] = "convolutional",
    sigma_c: Annotated[float | None, typer.Option(help="Centre of the critical pulse; else it is measured.")] = None,
    critical: Annotated[
        Literal["xi-eq", "xi-eq-first", "xi-x"],
        typer.Option(help="Measured as the peak of xi_eq (the paper's), its first peak, or the growth of xi_x."),
    ] = "xi-eq",
    analysis: Annotated[
        Path | None, typer.Option(help="A result.nc of `fastpatch edm2 analyze` in place of a measurement.")
    ] = None,
    width: Annotated[float | None, typer.Option(help="Half width Delta of the pulse; else half of sigma_c.")] = None,
    strength: Annotated[float, typer.Option(help="Weight w of the pulse; EDM2's g is 1 + w.")] = 3.0,
    classes: common.Classes = None,
    trials: Annotated[int, typer.Option(help="Samples of each class and condition, from shared noise.")] = 36,
    controls: Annotated[str, typer.Option(help="What is run beside the critical pulse and no guidance.")] = _CONTROLS,
    scan_by: Annotated[
        Literal["evaluations", "relative-width"],
        typer.Option(help="What pulses of the scan have in common with the critical one."),
    ] = "evaluations",
    scan_step: Annotated[float, typer.Option(help="Octaves of sigma from one pulse of the scan to the next.")] = 1.0,
    kick: Annotated[float, typer.Option(help="RMS displacement by kicks of equal size.")] = 0.1,
    kick_step: Annotated[float, typer.Option(help="Octaves of sigma from one such kick to the next.")] = 2.0,
    null: options.Null = True,
    data: options.Data = None,
    cutoff: Annotated[float, typer.Option(help="Highest shell n of the low band.")] = 3.0,
    steps: Annotated[int, typer.Option(help="Steps from sigma 80 to 0.002, then 0.")] = 32,
    seed: options.Seed = 0,
    batch: Annotated[int, typer.Option(help="Most images at once, less if memory asks for it.")] = 32,
    device: options.Device = "auto",
    out: options.Out = Path("runs/edm2-pulse"),
    quiet: options.Quiet = False,
) -> None:
    """Does guidance act most at the critical noise level? The paper's pulses and fairer controls (Fig. 4).

    It may be stopped or killed at any time: the same command goes on with what OUT/samples does not hold yet. Where the
    training images are found, Gaussians with the means and covariances of their classes meet the same noise and pulses.
    Writes result.nc, figure4.png, dose_response.png, kicks.png and conditions.png.
    """
    with options.packages_for("the pulse experiment"):
        from ...neural import chosen_classes
        from ...neural.guidance import Pulse, check_guide
        from ...neural.pulse import PulseExperiment, PulseSettings, check_classifier, with_null, with_second_judge

    from ...atomic import exclusive_directory

    net = common.load_network(weights, device)
    chosen = chosen_classes(net, common.parsed_classes(classes, net))
    guiding = common.load_guide(guide, device)
    check_guide(net, guiding)
    judges = {name: load_classifier(name, device) for name in ARCHITECTURES} if classifier == "both" else {}
    scorer = judges[ARCHITECTURES[0]] if judges else load_classifier(classifier, device)
    check_classifier(scorer, net)

    def settings(centre: float, half_width: float | None) -> PulseSettings:
        names: Any = tuple(word.strip() for word in controls.split(",") if word.strip())
        return PulseSettings(
            sigma_c=centre, half_width=half_width, weight=strength, classes=tuple(chosen), trials=trials,
            controls=names, scan_by=scan_by, scan_step=scan_step, kick=kick, kick_step=kick_step, cutoff=cutoff,
            steps=steps, seed=seed, batch=batch,
        )  # fmt: skip

    if sigma_c is None:  # a mistake shows before sigma_c is measured; this pulse covers any grid
        settings(40.0, 40.0)
        Pulse(1.0, 0.5 if width is None else width, strength)
    gaussians = null_network(net, data) if null and (weights is None or data is not None) else None
    with exclusive_directory(out, "run") as directory:
        show = not quiet and has_terminal()
        begin = time.perf_counter()
        levels = critical_level(net, sigma_c, critical, analysis, directory, chosen, steps, show)
        experiment = PulseExperiment(net, settings(levels["sigma_c"], width), directory / "samples", guide=guiding)
        experiments = {"network": experiment}
        if gaussians is not None:
            model, name = gaussians
            larger = replace(experiment.settings, batch=_NULL_BATCH * batch)
            experiments["Gaussian null"] = PulseExperiment(model, larger, directory / "null-samples", name=name)
        print(f"{'critical noise level sigma_c':<36}{levels['sigma_c']:14.4g}")
        _print_cost(experiments)
        for one in experiments.values():
            one.generate(progress=show)
        dataset = experiment.evaluate(scorer).assign_attrs(levels, title=common.title(net, weights))
        if judges:
            dataset = with_second_judge(dataset, experiment.evaluate(judges[ARCHITECTURES[1]]), ARCHITECTURES[1])
        if gaussians is not None:
            dataset = with_null(dataset, experiments["Gaussian null"].evaluate(scorer))
        simulated = time.perf_counter() - begin
        publish(dataset, directory, report, begin=begin, simulated=simulated)


def _print_cost(experiments: "dict[str, PulseExperiment]") -> None:
    """What is left to do, and about how long it takes."""
    remaining = {name: one.remaining for name, one in experiments.items()}
    minutes = {
        name: one.estimated_seconds() / 60.0 if sum(remaining[name]) else 0.0 for name, one in experiments.items()
    }
    total = sum(map(sum, remaining.values()))
    print(f"{'evaluations still to be made':<36}{total:14d}     about {sum(minutes.values()):.1f} min")
    for name, cost in remaining.items():
        split = f"network: {cost.network}, guide: {cost.guide}, about {minutes[name]:.1f} min"
        print(f"  {name:<34}{sum(cost):14d}     {split}", flush=True)
