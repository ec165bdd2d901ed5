"""The pulse experiment: sampling that may be stopped at any time, and its evaluation by a classifier (paper App. F)."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InvalidInputError
from ...progress import progress_bar
from ...provenance import environment
from ..classifiers.base import Classifier
from ..denoiser import Denoiser, denoiser_identity
from ..devices import device_name
from ..guidance import Guide, check_guide, guide_estimate
from ..sampler import latents, placed
from ..side_by_side import at_once, side_by_side
from .branches import Start, run_branches
from .plan import Block, Branch, Cost, Plan
from .results import build_dataset
from .runs import checked_samples, strips, unguided_runs
from .scores import check_classifier, score
from .settings import PulseSettings
from .store import SampleStore, Unguided
from .treatment import UNGUIDED

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PulseExperiment"]


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
    name
        What tells ``net`` from another network, as JSON values; its `denoiser_identity` by default.

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
        name: Mapping[str, Any] | None = None,
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
            "network": denoiser_identity(net) if name is None else dict(name),
            "guide": guide if isinstance(guide, str) else denoiser_identity(guide),
            **settings.identity,
        }
        self.store = SampleStore(directory, self.identity, tuple(latents([], net).shape[1:]))

    @property
    def remaining(self) -> Cost:
        """Evaluations that are still to be made."""
        costs = [] if self.store.has_strips() else [self.plan.strips_cost]
        return _total([*costs, *map(self._remaining_of, self.plan.blocks)])

    def estimated_seconds(self) -> float:
        """Time that `generate` will take, from the measured time of evaluations of a full batch, as many at once.

        The blocks are shared out as `generate` does it: the time is that of the worker who has most to do.
        """
        size = min(self.settings.batch, len(self.plan.trials))
        labels = torch.tensor([trial.class_label for trial in self.plan.trials[:size]], device=self.device)
        x = latents([trial.seed for trial in self.plan.trials[:size]], self.net).to(self.device)

        def net() -> Tensor:
            denoised: Tensor = self.net(x, 1.0, labels)
            return denoised

        def guide() -> Tensor:
            return guide_estimate(self.net, self.guide, x, 1.0, labels)

        workers = at_once(len(self.plan.blocks), self.device)
        network, guiding = (_shortest(call, workers, self.device) / size for call in (net, guide))

        def seconds(cost: Cost) -> float:
            return cost.network * network + cost.guide * guiding

        busy = [0.0] * workers
        for block in self.plan.blocks:
            busy[busy.index(min(busy))] += seconds(self._remaining_of(block))
        return max(busy) + (0.0 if self.store.has_strips() else seconds(self.plan.strips_cost))

    def generate(self, *, progress: bool = False) -> None:
        """Make all samples that are not there yet; each batch is on disk before the next one of its trials starts.

        On a CPU several batches are made at once, so ``net`` and ``guide`` are called from several threads.
        ``progress`` shows a bar on standard error, in evaluations of single images.

        Raises `InvalidInputError` where a sample is not finite, `BackendUnavailableError` where a GPU
        cannot hold a single image, and `OutputError` where a file cannot be written or another experiment is at work
        in the directory.
        """
        total = sum(self.remaining)
        with (
            self.store.in_use(),
            progress_bar(total=total, unit="eval", unit_scale=True, show=progress, leave=False, smoothing=0.05) as bar,
        ):

            def advance(cost: Cost) -> None:
                bar.update(sum(cost))

            side_by_side(self._generate_block, self.plan.blocks, self.device, advance)
            if not self.store.has_strips():
                first = self.plan.trials[: len(self.settings.classes)]
                self.store.save_strips(strips(self.net, self.guide, first, self.settings))
                bar.update(sum(self.plan.strips_cost))

    def finished(self, block: Block) -> Iterator[tuple[Sequence[Branch], NDArray[np.float32]]]:
        """The samples of a block, (B, C, H, W) at once, and what they are; `ResultFileError` where one is missing."""
        unguided = [Branch(trial, UNGUIDED) for trial in block.trials]
        yield unguided, self.store.unguided(block.number, len(unguided)).images
        for number, branches in enumerate(block.batches):
            yield branches, self.store.branches(block.number, number, len(branches))

    def pushes(self) -> dict[Branch, NDArray[np.float32]]:
        """The `Pushes.values` (4,) of every branch; `ResultFileError` where one is missing."""
        return {
            branch: push
            for block in self.plan.blocks
            for number, branches in enumerate(block.batches)
            for branch, push in zip(branches, self.store.pushes(block.number, number, len(branches)), strict=True)
        }

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
        shown = self.store.strips(len(self.settings.classes), self.settings.steps)
        provenance = {
            "run": {**self.identity, "classifier": classifier.describe()},
            "environment": {**environment(), "torch": torch.__version__, "device": device_name(self.device)},
        }
        dataset = build_dataset(self.plan, scores, self.pushes(), classifier.labels, shown)
        return dataset.assign_attrs(provenance=json.dumps(provenance, sort_keys=True))

    def _remaining_of(self, block: Block) -> Cost:
        todo = self._unfinished(block)
        costs = [self.plan.cost(block.batches[number]) for number in todo]
        return _total([*costs, self.plan.unguided_cost(block)] if self._needs_unguided(block, todo) else costs)

    def _unfinished(self, block: Block) -> list[int]:
        return [number for number in range(len(block.batches)) if not self.store.has_branches(block.number, number)]

    def _needs_unguided(self, block: Block, todo: Sequence[int]) -> bool:
        steps = self.store.unguided_steps(block.number)
        return steps is None or (bool(todo) and steps != block.steps)

    def _generate_block(self, block: Block) -> Iterator[Cost]:
        todo = self._unfinished(block)
        if self._needs_unguided(block, todo):
            members = [self.plan.trials[trial] for trial in block.trials]
            self.store.save_unguided(block.number, unguided_runs(self.net, members, block.steps, self.settings))
            yield self.plan.unguided_cost(block)
        unguided = self.store.unguided(block.number, len(block.trials))
        states = {step: torch.from_numpy(x) for step, x in zip(unguided.steps, unguided.states, strict=True)}
        for number in todo:
            batch = block.batches[number]
            starts = [
                Start(
                    self.plan.trials[one.trial].class_label, one.treatment, one.trial - block.trials.start,
                    self.plan.trials[one.trial].seed,
                )
                for one in batch
            ]  # fmt: skip
            images, pushes = run_branches(
                self.net, self.guide, starts, states, self.settings.grid, self.device, self.settings.cutoff
            )
            self.store.save_branches(block.number, number, checked_samples(images), pushes.numpy())
            yield self.plan.cost(batch)
        if states:  # of no further use
            self.store.save_unguided(block.number, Unguided(unguided.images, (), unguided.states[:0]))


def _total(costs: Sequence[Cost]) -> Cost:
    return Cost(sum(cost.network for cost in costs), sum(cost.guide for cost in costs))


def _shortest(call: Callable[[], Tensor], workers: int, device: torch.device) -> float:
    """Seconds of the fastest of three calls by every worker, all at work at once; the first call is the slowest."""
    taken: list[float] = []

    def calls(_: int) -> Iterator[float]:
        for _ in range(3):
            begin = time.perf_counter()
            with torch.no_grad():
                call().cpu()  # waits for the device
            yield time.perf_counter() - begin

    side_by_side(calls, range(workers), device, taken.append)
    return min(taken)
