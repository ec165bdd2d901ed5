"""Does guiding where the class is decided work? The experiment of docs/window.md, resumable block by block."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InvalidInputError
from ...kept_parts import KeptParts
from ...validation import integer
from ..classifiers.base import Classifier, check_labels
from ..denoiser import Denoiser, denoiser_identity
from ..edm_grid import sigma_grid
from ..guidance import Guide
from ..sampler import Solver, latents, sample
from .interval_grid import interval_samples
from .step_grid import entropic_levels

__all__ = ["Block", "StepErrors", "TrialSettings", "blocks", "grid_evaluations", "step_blocks", "step_evaluations"]

_REFERENCE_STEPS = 32

# Measured (sigma, rate) by the name of a grid.
Rates = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True)
class TrialSettings:
    """What docs/window.md fixes: levels of the run, weights, evaluations of the step grids."""

    levels: int = 9
    sigma_max: float = 40.0
    sigma_min: float = 0.05
    weights: tuple[float, ...] = (1.0, 2.0, 4.0)
    evaluations: tuple[int, ...] = (8, 16, 32)

    @property
    def grid(self) -> NDArray[np.float64]:
        return sigma_grid(self.levels, self.sigma_max, self.sigma_min)


@dataclass(frozen=True, eq=False)
class Block:
    """Logits of one block's runs: ``unguided`` (classifiers, B, K) and ``guided`` (classifiers, weights, N, N, B, K).

    NaN where an interval's first level lies after its last. ``targets`` (B,), and the evaluations it has cost.
    """

    targets: NDArray[np.int64]
    unguided: NDArray[np.float32]
    guided: NDArray[np.float32]
    evaluations: int


@dataclass(frozen=True, eq=False)
class StepErrors:
    """Root mean square distance to the reference (grids, evaluations, solvers, B); solvers are Euler and Heun."""

    grids: tuple[str, ...]
    errors: NDArray[np.float64]


def blocks(
    net: Denoiser,
    guide: Guide,
    classifiers: Sequence[Classifier],
    settings: TrialSettings,
    count: int,
    out: str | Path,
    *,
    batch: int = 32,
    done: Callable[[int], None] = lambda block: None,
) -> Iterator[Block]:
    """Blocks 0 … count - 1 of one image a class, from ``out`` where they are there, else made and written.

    Raises `InvalidInputError` where ``out`` holds blocks of other settings, networks or classifiers, a classifier of
    other classes or a network without; `ResultFileError` for a damaged block.
    """
    integer(count, "blocks", minimum=1)
    if net.label_dim == 0:
        raise InvalidInputError("the network has no labels; expected a class-conditional one")
    for classifier in classifiers:
        check_labels(classifier, net)
    identity = {
        **asdict(settings),
        "network": denoiser_identity(net),
        "guide": guide if isinstance(guide, str) else denoiser_identity(guide),
        "classifiers": [classifier.describe() for classifier in classifiers],
    }
    parts = KeptParts(out, identity, "trial")
    for block in range(count):
        found = parts.part(f"intervals-{block:04d}", partial(_made, net, guide, classifiers, settings, block, batch))
        done(block)
        yield Block(found["targets"], found["unguided"], found["guided"], int(found["evaluations"]))


def step_blocks(
    net: Denoiser,
    settings: TrialSettings,
    rates: Rates,
    count: int,
    out: str | Path,
    *,
    batch: int = 32,
) -> Iterator[StepErrors]:
    """The step grids of equal information, by name with their measured (sigma, rate), against EDM's, by blocks.

    ``out`` is a directory of their own. Raises what `blocks` raises for it.
    """
    identity = {
        **asdict(settings),
        "network": denoiser_identity(net),
        "rates": {name: [values.tolist() for values in pair] for name, pair in rates.items()},
    }
    parts = KeptParts(out, identity, "trial of step grids")
    for block in range(count):
        found = parts.part(f"steps-{block:04d}", partial(_step_errors, net, settings, rates, block, batch))
        yield StepErrors(("EDM", *rates), found["errors"])


def grid_evaluations(settings: TrialSettings, images: int) -> int:
    """Evaluations, images times calls of either network, of `blocks` with so many images a block.

    At level l of N: the unguided run twice, each weight twice for every interval that is open, and once for every one
    that has ended, as `interval_samples` shares them.
    """
    count = 0
    for level in range(settings.levels):
        ended = level * (level - 1) // 2
        count += 2 + len(settings.weights) * (2 * level + ended)
    return images * count


def step_evaluations(settings: TrialSettings, images: int, rates: int) -> int:
    """Evaluations of `step_blocks` with so many images a block and so many rates: EDM's grid and the reference too."""
    heun = sum(2 * (evaluations // 2) - 1 for evaluations in settings.evaluations)
    return images * ((1 + rates) * (sum(settings.evaluations) + heun) + 2 * _REFERENCE_STEPS - 1)


def _step_errors(
    net: Denoiser, settings: TrialSettings, rates: Rates, block: int, batch: int
) -> dict[str, NDArray[np.float64]]:
    noise, labels = _start(net, block)
    ends = {"sigma_max": settings.sigma_max, "sigma_min": settings.sigma_min, "batch": batch}
    reference = sample(net, noise, labels, steps=_REFERENCE_STEPS, **ends).images  # type: ignore[arg-type]
    errors = np.empty((1 + len(rates), len(settings.evaluations), 2, len(noise)))
    solvers: tuple[Solver, ...] = ("euler", "heun")
    for at, evaluations in enumerate(settings.evaluations):
        for which, solver in enumerate(solvers):
            steps = evaluations if solver == "euler" else evaluations // 2
            grids = [sigma_grid(steps, settings.sigma_max, settings.sigma_min)[:-1]]
            grids += [entropic_levels(*rate, steps) for rate in rates.values()]
            for grid, levels in enumerate(grids):
                images = sample(net, noise, labels, sigmas=levels, solver=solver, batch=batch).images
                errors[grid, at, which] = (images - reference).square().mean((1, 2, 3)).sqrt().numpy()
    return {"errors": errors}


def _made(
    net: Denoiser, guide: Guide, classifiers: Sequence[Classifier], settings: TrialSettings, block: int, batch: int
) -> dict[str, NDArray[Any]]:
    noise, labels = _start(net, block)
    found = interval_samples(net, guide, noise, labels, settings.grid, settings.weights, batch)
    n = settings.levels

    def logits(images: Tensor) -> NDArray[np.float32]:
        return np.stack([classifier.logits(images).numpy() for classifier in classifiers])

    unguided = logits(found.unguided)
    shape = (len(classifiers), len(settings.weights), n, n, *unguided.shape[1:])
    guided = np.full(shape, np.nan, dtype=np.float32)
    for (weight, first, last), images in found.guided.items():
        guided[:, weight, first, last] = logits(images)
    return {
        "targets": labels.numpy(),
        "unguided": unguided,
        "guided": guided,
        "evaluations": np.array(found.evaluations),
    }


def _start(net: Denoiser, block: int) -> tuple[Tensor, Tensor]:
    images = net.label_dim
    return latents(range(block * images, (block + 1) * images), net), torch.arange(images)
