"""Samples by the deterministic EDM sampler: Heun's method on the probability-flow ODE in sigma (paper App. E.2)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ..errors import InvalidInputError
from ..noise import NoiseStream, standard_normals
from ..progress import progress_bar
from ..runs.solvers.heun import heun_step
from ..validation import floating_field, integer
from .batching import in_batches
from .denoiser import Denoiser, checked_labels, image_shape
from .devices import evaluating, resolve_device
from .edm_grid import SIGMA_MAX, SIGMA_MIN, checked_levels, sigma_grid
from .guidance import LOW_SHELLS, Band, Guidance, Guide, GuidedDenoiser, Pulse, constant

__all__ = ["Samples", "Solver", "flow", "heun", "latents", "placed", "sample"]

Solver = Literal["heun", "euler"]

# Images at once: more gain nothing on a CPU.
_BATCH = 32

_BAR = "{percentage:3.0f}%|{bar}| {n:.0f}/{total} samples [{elapsed}<{remaining}]"


@dataclass(frozen=True, eq=False)
class Samples:
    """What `sample` has made; all tensors are float32 on the CPU.

    Attributes
    ----------
    images : (B, C, H, W)
        The samples x(0), nominally in [-1, 1] and not clipped.
    steps : tuple of int, sigmas : float64 (R,)
        The recorded grid indices, in increasing order, and their noise levels.
    states, denoised : (R, B, C, H, W)
        x(sigma_i) and the denoised images D(x, sigma_i), guided as in the run, at the recorded indices; both are the
        samples at the last index, sigma = 0.
    evaluations, guide_evaluations : int
        Evaluations of the network and of the guide that every sample has cost.
    """

    images: Tensor
    steps: tuple[int, ...]
    sigmas: NDArray[np.float64]
    states: Tensor
    denoised: Tensor
    evaluations: int
    guide_evaluations: int


def latents(seeds: Sequence[int], net: Denoiser) -> Tensor:
    """Standard normal noise (B, C, H, W), float32 on the CPU: image i depends on ``seeds[i]`` and on nothing else.

    Raises `InvalidInputError` or `DtypeError` for a seed that is not an integer in [0, 2^64).
    """
    shape = image_shape(net)
    drawn = np.empty((len(seeds), *shape), dtype=np.float32)
    for image, seed in zip(drawn, seeds, strict=True):
        image[:] = standard_normals(shape, seed=seed, stream=NoiseStream.INITIAL)
    return torch.from_numpy(drawn)


def sample(
    net: Denoiser,
    noise: Tensor | ArrayLike,
    class_labels: ArrayLike | Tensor | None = None,
    *,
    guide: Guide | None = None,
    guidance: Guidance | float | None = None,
    band: Band = "all",
    cutoff: float = LOW_SHELLS,
    steps: int = 32,
    sigma_max: float = SIGMA_MAX,
    sigma_min: float = SIGMA_MIN,
    rho: float = 7.0,
    sigmas: ArrayLike | None = None,
    solver: Solver = "heun",
    record: Sequence[int] | None = None,
    batch: int | None = None,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Samples:
    """Integrate from ``sigma_max`` times ``noise`` to sigma = 0: 2 N - 1 evaluations for N steps, without churn.

    Parameters
    ----------
    net
        A network in evaluation mode (not checked).
    noise
        Standard normal images (B, C, H, W) of the network's size; `latents` draws them.
    class_labels
        (B,) class indices, (B, label_dim) rows, or None for the zero label.
    guide, guidance, band, cutoff
        Those of `GuidedDenoiser`; a number is a weight at every level. w(sigma) is evaluated for every evaluation of
        the network at its own noise level, Heun's second one included.
    steps, sigma_max, sigma_min, rho
        The grid, see `sigma_grid`.
    sigmas
        Noise levels (N,) in its place, strictly decreasing and positive; the 0 at the end is added.
    solver
        ``"heun"``, or ``"euler"`` with one evaluation a step.
    record
        Grid indices from 0 to ``steps`` whose states are kept; none by default.
    batch
        Most images at once, 32 by default, which bounds the memory. Where CUDA runs out of memory it is halved.
    device
        Where to compute (see `resolve_device`); networks are moved there. By default where ``net`` is.
    progress
        Show a progress bar on standard error.

    Notes
    -----
    Computed in float32. A sample is the same bit for bit whenever the same batch is computed on the same machine with
    the same number of threads; in batches of other sizes the libraries below add in another order, and it agrees up to
    rounding.

    Raises
    ------
    InvalidInputError, DtypeError
        For noise of another shape, and what `checked_labels`, `GuidedDenoiser`, `Pulse.check_range` and `sigma_grid`
        refuse.
    BackendUnavailableError
        For a device that is not there or cannot hold a single image.
    """
    grid = sigma_grid(steps, sigma_max, sigma_min, rho) if sigmas is None else checked_levels(sigmas)
    if solver not in get_args(Solver):
        raise InvalidInputError(f"solver is {solver!r}; expected one of {', '.join(map(repr, get_args(Solver)))}")
    images = image_shape(net)
    if not isinstance(noise, Tensor):
        noise = torch.from_numpy(np.require(floating_field(noise, "noise"), requirements=("C", "W")))
    if noise.ndim != 4 or tuple(noise.shape[1:]) != images or not len(noise):
        raise InvalidInputError(f"noise has shape {tuple(noise.shape)}; expected (B, {', '.join(map(str, images))})")
    labels = checked_labels(net, class_labels, len(noise))
    if guidance is not None and not callable(guidance):
        guidance = constant(guidance)
    if isinstance(guidance, Pulse):
        guidance.check_range(float(grid[-2]), float(grid[0]))
    kept = sorted(
        {integer(at, "a recorded step", minimum=0, maximum=len(grid) - 1) for at in (() if record is None else record)}
    )
    size = _BATCH if batch is None else integer(batch, "batch", minimum=1)
    target = placed(net, device)
    if guide is not None and not isinstance(guide, str):
        placed(guide, target)

    with (
        torch.no_grad(),
        evaluating(target),
        progress_bar(total=len(noise), show=progress, leave=False, bar_format=_BAR) as bar,
    ):

        def finish(part: slice) -> _Part:
            denoise = GuidedDenoiser(
                net, None if labels is None else labels[part].to(target), guide=guide, guidance=guidance, band=band,
                cutoff=cutoff,
            )  # fmt: skip
            states: list[Tensor] = []
            denoised: list[Tensor] = []
            start = grid[0] * noise[part].to(device=target, dtype=torch.float32)
            for step, (x, estimate) in enumerate(flow(denoise, start, grid, solver)):
                if step in kept:
                    states.append(x.cpu())
                    denoised.append(estimate.cpu())
                # Set rather than counted up: a batch that did not fit into memory begins again.
                bar.n = part.start + len(x) * step / (len(grid) - 1)
                bar.refresh()
            return _Part(x.cpu(), states, denoised, (denoise.evaluations, denoise.guide_evaluations))

        parts = in_batches(finish, len(noise), size)

    def joined(of: Callable[[_Part], list[Tensor]]) -> Tensor:
        moments = [torch.cat(same) for same in zip(*map(of, parts), strict=True)]
        return torch.stack(moments) if moments else noise.new_empty((0, *noise.shape), dtype=torch.float32)

    return Samples(
        images=torch.cat([part.images for part in parts]),
        steps=tuple(kept),
        sigmas=grid[kept],
        states=joined(lambda part: part.states),
        denoised=joined(lambda part: part.denoised),
        evaluations=parts[0].evaluations[0],
        guide_evaluations=parts[0].evaluations[1],
    )


def heun(
    denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigmas: NDArray[np.float64]
) -> Iterator[tuple[Tensor, Tensor]]:
    """`flow` by Heun's method."""
    return flow(denoise, x, sigmas, "heun")


def flow(
    denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigmas: NDArray[np.float64], solver: Solver = "heun"
) -> Iterator[tuple[Tensor, Tensor]]:
    """The pairs x(sigma_i), D(x, sigma_i) along the grid ``sigmas``, the last of which is 0, where both are x.

    Heun's method, second order in the step, and an Euler step to 0, where the drift has no value; or Euler's, of first
    order, throughout.
    """
    for sigma, following in pairwise(sigmas.tolist()):
        denoised = denoise(x, sigma)
        yield x, denoised
        # The slope at the beginning needs the denoised image that was just yielded.
        begin = (x - denoised) / sigma

        def slope(at: Tensor, level: float, first: Tensor = begin, start: float = sigma) -> Tensor | None:
            if level == start:
                return first
            return (at - denoise(at, level)) / level if level > 0.0 and solver == "heun" else None

        x = heun_step(slope, x, sigma, following)
    yield x, x


def placed(net: Denoiser, device: str | torch.device | None) -> torch.device:
    """The device on which ``net`` will compute, to which it is moved; None leaves it where it is."""
    if device is None:
        first: Any = next(net.parameters(), None) if isinstance(net, nn.Module) else None
        return torch.device("cpu") if first is None else first.device
    target = resolve_device(device)
    if isinstance(net, nn.Module):
        net.to(target)
    return target


@dataclass(frozen=True, eq=False)
class _Part:
    """A finished batch."""

    images: Tensor
    states: list[Tensor]
    denoised: list[Tensor]
    evaluations: tuple[int, int]
