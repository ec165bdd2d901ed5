"""``fastpatch edm2 pulse``."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from ...errors import InvalidInputError
from ...messages import has_terminal
from .. import options
from ..experiment import publish
from . import common
from .pulse_report import report

if TYPE_CHECKING:
    from ...neural.classifiers import Classifier
    from ...neural.classifiers.fashion import Architecture
    from ...neural.edm2 import EDM2Network
    from ...neural.gaussian import GaussianDenoiser
    from ...neural.pulse import CriticalBy

__all__ = ["pulse"]

_CONTROLS = "random,step-matched,log-uniform,scan,bands,constant,neighbours,kicks"

_BOTH = ("convolutional", "perceptron")

# Runs of each class from which sigma_c is measured; their noise is not that of the experiment.
_TRAJECTORIES = 4


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
    trials: Annotated[int, typer.Option(help="Samples of each class and condition, from shared noise.")] = 40,
    controls: Annotated[str, typer.Option(help="What is run beside the critical pulse and no guidance.")] = _CONTROLS,
    scan_by: Annotated[
        Literal["evaluations", "relative-width"],
        typer.Option(help="What pulses of the scan have in common with the critical one."),
    ] = "evaluations",
    scan_step: Annotated[float, typer.Option(help="Octaves of sigma from one pulse of the scan to the next.")] = 1.0,
    kick: Annotated[float, typer.Option(help="RMS displacement by kicks of equal size.")] = 0.1,
    kick_step: Annotated[float, typer.Option(help="Octaves of sigma from one such kick to the next.")] = 2.0,
    null: Annotated[
        bool,
        typer.Option(help="Run all of it on Gaussians with the means and covariances of the training images too."),
    ] = False,
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

    It may be stopped or killed at any time: the same command goes on with what OUT/samples does not hold yet. Writes
    result.nc, figure4.png, dose_response.png, kicks.png and conditions.png.
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
    judges = {name: _load_classifier(name, device) for name in _BOTH} if classifier == "both" else {}
    scorer = judges[_BOTH[0]] if judges else _load_classifier(classifier, device)
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
    gaussians = _null_network(net, data) if null else None
    with exclusive_directory(out, "run") as directory:
        show = not quiet and has_terminal()
        begin = time.perf_counter()
        levels = _critical_level(net, sigma_c, critical, analysis, directory, chosen, steps, show)
        experiment = PulseExperiment(net, settings(levels["sigma_c"], width), directory / "samples", guide=guiding)
        remaining = experiment.remaining
        print(f"{'critical noise level sigma_c':<36}{levels['sigma_c']:14.4g}")
        print(f"{'evaluations still to be made':<36}{sum(remaining):14d}", end="     ", flush=True)
        minutes = experiment.estimated_seconds() / 60.0
        print(f"network: {remaining.network}, guide: {remaining.guide}, about {minutes:.1f} min")
        experiment.generate(progress=show)
        dataset = experiment.evaluate(scorer).assign_attrs(levels, title=common.title(net, weights))
        if judges:
            dataset = with_second_judge(dataset, experiment.evaluate(judges[_BOTH[1]]), _BOTH[1])
        if gaussians is not None:
            model, name = gaussians
            beside = PulseExperiment(model, experiment.settings, directory / "null-samples", name=name)
            beside.generate(progress=show)
            dataset = with_null(dataset, beside.evaluate(scorer))
        simulated = time.perf_counter() - begin
        publish(dataset, directory, report, begin=begin, simulated=simulated)


def _load_classifier(name: str, device: str) -> "Classifier":
    """One that is shipped, by the name of its architecture, or that of a file or directory."""
    from ...neural.classifiers import DINOv2, FashionClassifier
    from ...neural.classifiers.fashion import shipped_classifier
    from ...neural.devices import resolve_device

    target = resolve_device(None if device == "auto" else device)
    if name in _BOTH:
        return FashionClassifier.load(shipped_classifier(cast("Architecture", name)), target)
    if Path(name).is_dir():
        return DINOv2(name, device=target)
    return FashionClassifier.load(name, target)


def _null_network(net: "EDM2Network", data: Path | None) -> "tuple[GaussianDenoiser, dict[str, Any]]":
    """Gaussians with the moments of every class of Fashion-MNIST, and what tells them from another network.

    Raises `InvalidInputError` for a network of other images or classes.
    """
    from ...neural.data import CLASS_NAMES, image_hash, load_images, load_labels, pad_images
    from ...neural.denoiser import image_shape
    from ...neural.gaussian import GaussianDenoiser

    if (image_shape(net), net.label_dim) != ((1, 32, 32), len(CLASS_NAMES)):
        raise InvalidInputError(
            f"the network has {net.label_dim} classes of images {image_shape(net)}; expected the {len(CLASS_NAMES)} of "
            "Fashion-MNIST, (1, 32, 32), whose moments the null has, or no --null"
        )
    images = pad_images(load_images("train", "grey", data))
    model = GaussianDenoiser.from_images(images, load_labels("train", data).astype("int64"))
    # By the data: the rounding of eigenvectors depends on the number of threads.
    return model, {"type": "GaussianDenoiser", "data_sha256": image_hash("train")}


def _critical_level(
    net: "EDM2Network",
    sigma_c: float | None,
    critical: "CriticalBy",
    analysis: Path | None,
    directory: Path,
    classes: list[int],
    steps: int,
    progress: bool,
) -> dict[str, float]:
    """``sigma_c``, and what an analysis says of it: that of ``analysis``, else of ``directory``, else a new one.

    Without ``analysis``, a level that is given needs none. Raises `InvalidInputError` where the analysis is of another
    network or found no such level, and for one in ``directory`` of other classes or steps.
    """
    if sigma_c is not None and analysis is None:
        return {"sigma_c": sigma_c}
    from ...neural import analyze
    from ...neural.identity import network_identity
    from ...neural.pulse import critical_attributes
    from ...results import load, provenance, save

    file = directory / "analysis.nc" if analysis is None else analysis
    if analysis is None and not file.exists():
        print("measuring the critical noise level", flush=True)
        save(analyze(net, classes, _TRAJECTORIES, steps=steps, shells=range(4), snapshots=0, progress=progress), file)
    dataset = load(file)
    run = provenance(dataset, file)["run"]
    if analysis is None and (run.get("classes"), run.get("steps")) != (classes, steps):
        raise InvalidInputError(
            f"{file} was measured with classes {run.get('classes')} and {run.get('steps')} steps; expected "
            f"{classes} and {steps}, another --out, or --analysis with this file to take it all the same"
        )
    network = run.get("network")
    same = isinstance(network, dict) and network.get("weights_sha256") == network_identity(net)["weights_sha256"]
    if not same or "xi_x" not in dataset:
        raise InvalidInputError(
            f"{file} is no analysis of this network; expected a result of `fastpatch edm2 analyze` with its weights"
        )
    return critical_attributes(dataset, critical if sigma_c is None else sigma_c)
