"""The pulse experiment: sampling that may be stopped at any time, and its evaluation by a classifier (paper App. F)."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from ...errors import InvalidInputError
from ...provenance import environment
from ..classifiers.base import Classifier
from ..devices import device_name
from ..edm2.denoiser import Denoiser
from ..edm2.guidance import Guide, check_guide, guide_estimate
from ..edm2.sampler import latents, placed, sample
from ..identity import network_identity
from .branches import Start, run_branches
from .plan import Block, Branch, Cost, Plan
from .results import build_dataset
from .scores import check_classifier, score
from .settings import PulseSettings
from .store import SampleStore, Strips, Unguided
from .treatment import UNGUIDED

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PulseExperiment"]

# Noise levels of the strips of denoised images, log-spaced along the run (App. F.9).
_STRIP_LENGTH = 10


class PulseExperiment:
    """A class-conditional network, its guide, the settings, and a directory with the samples that are finished.

    Parameters
    ----------
    net
        A network in evaluation mode (not checked) with labels.
    settings
        What is compared with what.
    directory
        Of the samples of this experiment alone, see `SampleStore`.
    guide
        D_u, see `GuidedDenoiser`.
    device
        Where to compute; by default where ``net`` is. Networks are moved there.

    Raises
    ------
    InvalidInputError
        For a network without labels or without one of the classes, a guide that `check_guide` refuses, or a
        directory with samples of another experiment.
    ResultFileError, OutputError, BackendUnavailableError
        For a damaged or unwritable directory, or a device that is not there.
    """

    def __init__(
        self,
        net: Denoiser,
        settings: PulseSettings,
        directory: str | Path,
        *,
        guide: Guide = "zero-label",
        device: str | torch.device | None = None,
    ) -> None:
        if net.label_dim == 0:
            raise InvalidInputError("the network has no labels; expected a class-conditional one")
        check_guide(net, guide)
        outside = [label for label in settings.classes if label >= net.label_dim]
        if outside:
            raise InvalidInputError(f"class {outside[0]} is given; expected an index from 0 to {net.label_dim - 1}")
        self.net, self.guide, self.settings = net, guide, settings
        self.plan = Plan(settings)
        self.device = placed(net, device)
        if not isinstance(guide, str):
            placed(guide, self.device)
        self.identity = {
            "network": _identity(net),
            "guide": guide if isinstance(guide, str) else _identity(guide),
            **settings.identity,
        }
        self.store = SampleStore(directory, self.identity)

    @property
    def remaining(self) -> Cost:
        """Evaluations that are still to be made."""
        costs = [] if self.store.has_strips() else [self.plan.strips_cost]
        for block in self.plan.blocks:
            todo = self._unfinished(block)
            costs += [self.plan.cost(block.batches[number]) for number in todo]
            if self._needs_unguided(block, todo):
                costs.append(self.plan.unguided_cost(block))
        return Cost(sum(cost.network for cost in costs), sum(cost.guide for cost in costs))

    def estimated_seconds(self) -> float:
        """Time that `generate` will take, from the measured time of evaluations in a full batch."""
        size = min(self.settings.batch, len(self.plan.trials))
        labels = torch.tensor([self.settings.classes[0]] * size, device=self.device)
        x = torch.zeros((size, *latents([], self.net).shape[1:]), device=self.device)

        def net() -> Tensor:
            denoised: Tensor = self.net(x, 1.0, labels)
            return denoised

        def guide() -> Tensor:
            return guide_estimate(self.net, self.guide, x, 1.0, labels)

        remaining = self.remaining
        return (remaining.network * _shortest(net) + remaining.guide * _shortest(guide)) / size

    def generate(self, *, progress: bool = False) -> None:
        """Make all samples that are not there yet; each batch is on disk before the next one starts.

        ``progress`` shows a bar on standard error, in evaluations of single images.

        Raises `InvalidInputError` where a sample is not finite, `BackendUnavailableError` where a GPU
        cannot hold a single image, and `OutputError` where a file cannot be written.
        """
        total = sum(self.remaining)
        with tqdm(total=total, unit="eval", unit_scale=True, disable=not progress, leave=False, smoothing=0.05) as bar:
            for block in self.plan.blocks:
                for cost in self._generate_block(block):
                    bar.update(sum(cost))
            if not self.store.has_strips():
                self._generate_strips()
                bar.update(sum(self.plan.strips_cost))

    def finished(self, block: Block) -> Iterator[tuple[Sequence[Branch], NDArray[np.float32]]]:
        """The samples of a block, (B, C, H, W) at once, and what they are; `ResultFileError` where one is missing."""
        unguided = [Branch(trial, UNGUIDED) for trial in block.trials]
        yield unguided, self.store.unguided(block.number, len(unguided)).images
        for number, branches in enumerate(block.batches):
            yield branches, self.store.branches(block.number, number, len(branches))

    def evaluate(self, classifier: Classifier) -> "xr.Dataset":
        """The result of a generated experiment, see `build_dataset`, with its ``provenance``.

        Raises `InvalidInputError` for a classifier that does not fit the network, and `ResultFileError` for samples
        that are missing or damaged.
        """
        check_classifier(classifier, self.net)
        scores: dict[Branch, NDArray[np.float64]] = {}
        for block in self.plan.blocks:
            for branches, images in self.finished(block):
                targets = [self.plan.trials[branch.trial].class_label for branch in branches]
                scores.update(zip(branches, score(classifier, torch.from_numpy(images), targets), strict=True))
        provenance = {
            "run": {**self.identity, "classifier": classifier.describe()},
            "environment": {**environment(), "torch": torch.__version__, "device": device_name(self.device)},
        }
        dataset = build_dataset(self.plan, scores, classifier.labels, self.store.strips())
        return dataset.assign_attrs(provenance=json.dumps(provenance, sort_keys=True))

    def _unfinished(self, block: Block) -> list[int]:
        return [number for number in range(len(block.batches)) if not self.store.has_branches(block.number, number)]

    def _needs_unguided(self, block: Block, todo: Sequence[int]) -> bool:
        steps = self.store.unguided_steps(block.number)
        return steps is None or (bool(todo) and steps != block.steps)

    def _generate_block(self, block: Block) -> Iterator[Cost]:
        todo = self._unfinished(block)
        if self._needs_unguided(block, todo):
            self.store.save_unguided(block.number, self._run_unguided(block))
            yield self.plan.unguided_cost(block)
        unguided = self.store.unguided(block.number, len(block.trials))
        states = {step: torch.from_numpy(x) for step, x in zip(unguided.steps, unguided.states, strict=True)}
        for number in todo:
            batch = block.batches[number]
            starts = [
                Start(self.plan.trials[one.trial].class_label, one.treatment, one.trial - block.trials.start)
                for one in batch
            ]
            images = run_branches(
                self.net, self.guide, starts, states, self.settings.grid, self.device, self.settings.cutoff
            )
            self.store.save_branches(block.number, number, _finite(images))
            yield self.plan.cost(batch)
        if states:  # of no further use
            self.store.save_unguided(block.number, Unguided(unguided.images, (), unguided.states[:0]))

    def _run_unguided(self, block: Block) -> Unguided:
        members = [self.plan.trials[trial] for trial in block.trials]
        runs = self._sample([one.seed for one in members], [one.class_label for one in members], record=block.steps)
        return Unguided(_finite(runs.images), runs.steps, runs.states.numpy())

    def _generate_strips(self) -> None:
        settings = self.settings
        first = self.plan.trials[: len(settings.classes)]
        levels = np.log(settings.grid[:-1])
        wanted = np.linspace(levels[0], levels[-1], _STRIP_LENGTH)
        steps = np.unique(np.abs(levels[:, None] - wanted).argmin(axis=0)).tolist()
        seeds, labels = [one.seed for one in first], [one.class_label for one in first]
        without = self._sample(seeds, labels, record=steps)
        guided = self._sample(seeds, labels, record=steps, guide=self.guide, guidance=settings.pulse)
        kept = (runs.denoised.numpy().swapaxes(0, 1) for runs in (without, guided))
        self.store.save_strips(Strips(tuple(steps), *kept))

    def _sample(self, seeds: list[int], labels: list[int], **options: Any) -> Any:
        settings = self.settings
        return sample(
            self.net, latents(seeds, self.net), labels, steps=settings.steps, sigma_max=settings.sigma_max,
            sigma_min=settings.sigma_min, rho=settings.rho, batch=settings.batch, **options,
        )  # fmt: skip


def _identity(net: Denoiser) -> dict[str, Any]:
    return {"type": type(net).__name__, **(network_identity(net) if isinstance(net, nn.Module) else {})}


def _shortest(call: Any) -> float:
    """Seconds of the fastest of three calls; the first is slower than all others."""
    taken = []
    for _ in range(3):
        begin = time.perf_counter()
        with torch.no_grad():
            call().cpu()  # waits for the device
        taken.append(time.perf_counter() - begin)
    return min(taken)


def _finite(images: Tensor) -> NDArray[np.float32]:
    if not torch.isfinite(images).all():
        raise InvalidInputError("a sample is not finite; expected a smaller weight, or a trained network")
    found: NDArray[np.float32] = images.numpy()
    return found
