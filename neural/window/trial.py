"""Does guiding where the class is decided work? The experiment of docs/window.md, resumable block by block."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...atomic import atomic_path, writable_directory
from ...errors import InvalidInputError, ResultFileError
from ...validation import integer
from ..classifiers.base import Classifier, check_labels
from ..denoiser import Denoiser, denoiser_identity
from ..edm_grid import sigma_grid
from ..guidance import Guide
from ..identity import differences
from ..sampler import latents, sample
from .interval_grid import interval_samples
from .step_grid import entropic_levels

__all__ = ["Block", "StepErrors", "TrialSettings", "blocks", "step_blocks"]

_REFERENCE_STEPS = 32


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
    directory = _directory(out, json.loads(json.dumps(identity)))
    for block in range(count):
        path = directory / f"intervals-{block:04d}.npz"
        if not path.exists():
            _save(path, **vars(_made(net, guide, classifiers, settings, block, batch)))
        found = _load(path)
        done(block)
        yield Block(found["targets"], found["unguided"], found["guided"], int(found["evaluations"]))


def step_blocks(
    net: Denoiser,
    settings: TrialSettings,
    rates: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    count: int,
    out: str | Path,
    *,
    batch: int = 32,
) -> Iterator[StepErrors]:
    """The step grids of equal information, by name with their measured (sigma, rate), against EDM's, by blocks."""
    directory = writable_directory(out)
    names = ("EDM", *rates)
    for block in range(count):
        path = directory / f"steps-{block:04d}.npz"
        if not path.exists():
            noise, labels = _start(net, block)
            ends = {"sigma_max": settings.sigma_max, "sigma_min": settings.sigma_min, "batch": batch}
            reference = sample(net, noise, labels, steps=_REFERENCE_STEPS, **ends).images  # type: ignore[arg-type]
            errors = np.empty((len(names), len(settings.evaluations), 2, len(noise)))
            for at, evaluations in enumerate(settings.evaluations):
                for which, solver in enumerate(("euler", "heun")):
                    steps = evaluations if solver == "euler" else evaluations // 2
                    for grid, name in enumerate(names):
                        if name == "EDM":
                            levels = sigma_grid(steps, settings.sigma_max, settings.sigma_min)[:-1]
                        else:
                            levels = entropic_levels(*rates[name], steps)
                        images = sample(
                            net, noise, labels, sigmas=levels, solver=solver, batch=batch,  # type: ignore[arg-type]
                        ).images  # fmt: skip
                        errors[grid, at, which] = (images - reference).square().mean((1, 2, 3)).sqrt().numpy()
            _save(path, errors=errors)
        yield StepErrors(names, _load(path)["errors"])


def _made(
    net: Denoiser, guide: Guide, classifiers: Sequence[Classifier], settings: TrialSettings, block: int, batch: int
) -> Block:
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
    return Block(labels.numpy(), unguided, guided, found.evaluations)


def _start(net: Denoiser, block: int) -> tuple[Tensor, Tensor]:
    images = net.label_dim
    return latents(range(block * images, (block + 1) * images), net), torch.arange(images)


def _directory(out: str | Path, identity: dict[str, Any]) -> Path:
    directory = writable_directory(out)
    manifest = directory / "trial.json"
    if manifest.exists():
        found = json.loads(manifest.read_text(encoding="utf-8"))
        unlike = differences(found, identity)
        if unlike:
            raise InvalidInputError(
                f"{directory} holds blocks of {unlike[0]}; expected the same trial, or another directory"
            )
    else:
        with atomic_path(manifest) as temporary:
            temporary.write_text(json.dumps(identity, indent=1, sort_keys=True), encoding="utf-8")
    return directory


def _save(path: Path, **arrays: Any) -> None:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise ResultFileError(f"{path} is damaged ({error}); expected a block of this trial, or none") from error
