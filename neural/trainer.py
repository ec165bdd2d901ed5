"""One run of a training, resumable bit for bit: what every training here shares.

Every random draw comes from a generator keyed by (seed, purpose, index): the order of the images in an epoch by the
epoch, everything else by the optimiser step. So no generator's state has to survive an interruption, and a seed
gives the same weights wherever the training was interrupted, and whether it was at all. That holds bit for bit on
one device with one number of threads and one version of torch; otherwise up to rounding, which training amplifies.
"""

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import __version__
from ..errors import FastpatchError, InvalidInputError
from ..messages import has_terminal
from ..progress import progress_bar
from .checkpoint import Progress, load_checkpoint, save_checkpoint
from .devices import device_name, reproducible
from .ema import power_exponent, power_momentum, update_average
from .warm_start import Earlier

__all__ = ["TrainingDivergedError", "TrainingSession"]

_ORDER = 0  # the purpose of the draws made here; subclasses number theirs from 1


class TrainingDivergedError(FastpatchError, ArithmeticError):
    """The loss, its gradient or the weights stopped being finite."""


class TrainingSession(ABC):
    """A training from its checkpoint or from the start; a subclass knows the loss and the file of weights.

    Parameters
    ----------
    out, name
        Directory and stem of the two files, ``<name>.checkpoint`` and ``<name>.safetensors``.
    net, optimizer
        On ``device`` already, in their initial state; overwritten by the checkpoint where there is one.
    identity
        All settings that the training's course depends on.
    seed, epochs, batch_size, n_images
        Key of the random draws; length in passes over ``n_images`` images.
    sigma_rel
        Widths of the moving averages of the network (`power_exponent`) that are kept beside it, in the checkpoint too.
    earlier
        Gives the weights to start from, and is asked only where there is no checkpoint yet: epochs, steps and losses
        are counted on from their card. What the file lacks, the optimiser's moments, starts anew, and where it holds
        an average, that is what is trained further.
    """

    def __init__(
        self,
        out: Path,
        name: str,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        identity: Mapping[str, Any],
        device: torch.device,
        *,
        seed: int,
        epochs: int,
        batch_size: int,
        n_images: int,
        sigma_rel: tuple[float, ...] = (),
        earlier: Callable[[], Earlier | None] = lambda: None,
    ) -> None:
        self.checkpoint = out / f"{name}.checkpoint"
        self.weights = out / f"{name}.safetensors"
        self.optimizer = optimizer
        self.identity = dict(identity)
        self.device = device
        self.seed, self.epochs, self.batch_size, self.n_images = seed, epochs, batch_size, n_images
        self._net = net
        self.averages: dict[float, Any] = {
            width: copy.deepcopy(net).eval().requires_grad_(False) for width in sigma_rel
        }
        self._modules = {"model": net} | {_stem("average", width): mean for width, mean in self.averages.items()}
        found = load_checkpoint(self.checkpoint, self.identity, self._modules, optimizer)
        self.saved_step = None if found is None else found.steps
        holder = self.checkpoint
        if found is None:
            begun = earlier()
            if begun is not None:
                holder = begun.path
                if holder.resolve() == self.weights.resolve():
                    raise InvalidInputError(
                        f"{holder} is what this training writes; expected a copy of it, or another output directory"
                    )
            found = Progress() if begun is None else begun.restore(self._modules)
        self.progress = found
        if self.progress.epoch > epochs:
            raise InvalidInputError(
                f"epochs is {epochs}, but {holder} already holds {self.progress.epoch}; "
                "expected at least as many, or another output directory"
            )
        words = device_name(device)
        if self.progress.devices[-1:] != [words]:
            self.progress.devices.append(words)

    @abstractmethod
    def _step(self, chosen: Tensor) -> float:
        """One optimiser step on the images numbered ``chosen``; returns their mean loss."""

    @abstractmethod
    def _save_weights(self) -> None:
        """Replace the file of weights and its card."""

    def run(self, interval: float, show: bool) -> None:
        """Train to the end, with a checkpoint every ``interval`` seconds and after each epoch."""
        state = self.progress
        saved = time.monotonic()
        with (
            reproducible(self.device),
            progress_bar(
                total=self.epochs * self.n_images,
                initial=state.epoch * self.n_images + state.images,
                unit="img",
                mininterval=0.5 if has_terminal() else 60.0,
                show=show,
            ) as bar,
        ):
            while state.epoch < self.epochs:
                order = torch.from_numpy(self._generator(_ORDER, state.epoch).permutation(self.n_images))
                for chosen in torch.split(order, self.batch_size)[state.batch :]:
                    state.loss_sum += self._step(chosen) * len(chosen)
                    state.images += len(chosen)
                    state.batch += 1
                    state.steps += 1
                    for width, mean in self.averages.items():
                        update_average(mean, self._net, power_momentum(power_exponent(width), state.steps))
                    bar.set_postfix(epoch=state.epoch + 1, loss=f"{state.loss_sum / state.images:.4f}", refresh=False)
                    bar.update(len(chosen))
                    if time.monotonic() - saved >= interval:
                        self._save()
                        saved = time.monotonic()
                state.loss_per_epoch.append(state.loss_sum / state.images)
                state.epoch, state.batch, state.images, state.loss_sum = state.epoch + 1, 0, 0, 0.0
                self._save(end_of_epoch=True)
                saved = time.monotonic()
        if not self.weights.exists():
            if state.batch:
                raise InvalidInputError(
                    f"{self.weights} is gone, and {self.checkpoint} is in the middle of epoch {state.epoch + 1}; "
                    "expected more epochs to train for"
                )
            self._save_weights()

    def _backward(self, loss: Callable[..., Tensor], tensors: tuple[Tensor, ...], chunk: int) -> Tensor:
        """Gradients of the mean of ``loss`` over the rows of ``tensors``, ``chunk`` rows at a time; returns the mean.

        Chunks whose activations stay near a CPU's caches are faster than a whole batch, and take less memory.
        """
        rows = len(tensors[0])
        total = torch.zeros((), device=self.device)
        for part in zip(*(torch.split(values, chunk) for values in tensors), strict=True):
            share = loss(*part) * (len(part[0]) / rows)
            share.backward()  # type: ignore[no-untyped-call]
            total += share.detach()
        return total

    def _check_finite(self, loss: Tensor, gradient_norm: Tensor) -> None:
        if not torch.isfinite(loss + gradient_norm):
            what = f"the loss is {loss.item():g} with a gradient of norm {gradient_norm.item():g}"
            raise self._diverged(self.progress.steps + 1, what)

    def _card(self) -> dict[str, Any]:
        """What the cards of all trainings say."""
        state = self.progress
        return {
            "epochs": state.epoch,
            "steps": state.steps,
            "loss_per_epoch": state.loss_per_epoch,
            "images": self.n_images,
            "optimizer": type(self.optimizer).__name__,
            "devices": state.devices,
            **({} if state.continues is None else {"continues": state.continues}),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"fastpatch": __version__, "torch": torch.__version__, "numpy": np.__version__},
        }

    def _average_path(self, width: float) -> Path:
        """Where the average of this width is published when it is not the file of weights itself."""
        return self.weights.with_name(f"{_stem(self.weights.stem, width)}.safetensors")

    def _generator(self, purpose: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, index])

    def _save(self, *, end_of_epoch: bool = False) -> None:
        if not all(bool(torch.isfinite(weight).all()) for weight in self._modules["model"].parameters()):
            raise self._diverged(self.progress.steps, "a weight is not finite")
        if end_of_epoch:
            # Before the checkpoint: killed in between, the next session repeats the end of the epoch and both files.
            self._save_weights()
        save_checkpoint(self.checkpoint, self.identity, self.progress, self._modules, self.optimizer)
        self.saved_step = self.progress.steps

    def _diverged(self, step: int, what: str) -> TrainingDivergedError:
        kept = "no checkpoint was written yet"
        if self.saved_step is not None:
            kept = f"{self.checkpoint} keeps the state after step {self.saved_step}"
        return TrainingDivergedError(
            f"training diverged in step {step}: {what}; expected finite numbers ({kept}; "
            "a smaller learning rate may help)"
        )


def _stem(name: str, width: float) -> str:
    return f"{name}-ema{width:.3f}"
