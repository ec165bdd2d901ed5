"""What ``fastpatch edm2 pulse`` is made from: classifiers, the Gaussian null, and the critical noise level."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...errors import InvalidInputError
from .. import options
from . import common

if TYPE_CHECKING:
    from ...neural.classifiers import Classifier
    from ...neural.classifiers.fashion import Architecture
    from ...neural.edm2 import EDM2Network
    from ...neural.gaussian import GaussianDenoiser
    from ...neural.pulse import CriticalBy

__all__ = ["ARCHITECTURES", "critical_level", "load_classifier", "null_network"]

# Of the classifiers that are shipped.
ARCHITECTURES = ("convolutional", "perceptron")

# Runs of each class from which sigma_c is measured; their noise is not that of the experiment.
_TRAJECTORIES = 4


def load_classifier(name: str, device: str) -> "Classifier":
    """One that is shipped, by the name of its architecture, or that of a file or directory."""
    from ...neural.classifiers import DINOv2, FashionClassifier
    from ...neural.classifiers.fashion import shipped_classifier

    target = options.chosen_device(device)
    if name in ARCHITECTURES:
        return FashionClassifier.load(shipped_classifier(cast("Architecture", name)), target)
    if Path(name).is_dir():
        return DINOv2(name, device=target)
    return FashionClassifier.load(name, target)


def null_network(net: "EDM2Network", data: Path | None) -> "tuple[GaussianDenoiser, dict[str, Any]] | None":
    """Gaussians with the moments of every class of Fashion-MNIST, and what tells them from another network.

    None, and a line on standard error, where the images are not on this machine; what `common.training_images` raises.
    """
    from ...neural.data import image_hash
    from ...neural.gaussian import GaussianDenoiser

    images, labels = common.training_images(net, data)
    if images is None or labels is None:
        return None
    model = GaussianDenoiser.from_images(images, labels.astype("int64"))
    # By the data: the rounding of eigenvectors depends on the number of threads.
    return model, {"type": "GaussianDenoiser", "data_sha256": image_hash("train")}


def critical_level(
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
