"""The frames of a run: what is shown of every state, measured while the run goes on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis import correlation_length, shell_average, shell_wave_numbers, structure_factor
from ..process import log_time_grid
from ..runs import states
from ..theory import dispersion
from .settings import EDMSettings, MachineSettings, Settings, UNetSettings

__all__ = ["SHELLS", "Frame", "Spectra", "frames", "spectra"]

SHELLS = 5


@dataclass(frozen=True, eq=False)
class Frame:
    """One state of a run.

    ``time`` is t or sigma; ``x`` (trajectories, L1, L2); ``xi_x`` (trajectories,) in sites; ``modes`` (SHELLS,) the
    derivatives that are shown, averaged over directions, median over trajectories; ``picture`` the first trajectory in
    256 greys, (L1, L2) or wider.
    """

    time: float
    x: NDArray[np.float32]
    xi_x: NDArray[np.float64]
    modes: NDArray[np.float64]
    picture: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Spectra:
    """Curves over wave numbers at one state, all along the second lattice axis; missing ones are NaN.

    ``lambda_`` of the state's first trajectory, ``linear`` that at x = 0 and ``null`` that of the Gaussian null, at the
    wave numbers ``k``; ``power`` S(k) of all trajectories in shells of mean wave number ``shell_k``.
    """

    k: NDArray[np.float64]
    lambda_: NDArray[np.float64]
    linear: NDArray[np.float64]
    null: NDArray[np.float64]
    shell_k: NDArray[np.float64]
    power: NDArray[np.float64]

    @property
    def span(self) -> tuple[float, float]:
        """Range of an axis on which the measured curve can be read, with room for a legend above."""
        low, high = float(self.lambda_.min()), float(self.lambda_.max())
        margin = 0.1 * (high - low) + 0.2
        return low - margin, high + 2.0 * margin


def frames(settings: Settings) -> Iterator[Frame]:
    """Run the settings, yielding their frames as they are made."""
    return _of_samples(settings) if isinstance(settings, EDMSettings) else _of_states(settings)


def spectra(settings: Settings, frame: Frame, model: Any, null: Any) -> Spectra:
    """The curves over wave numbers of one frame; ``model`` and ``null`` are those of the settings.

    The whole axis of a model whose spectrum is known, the shells of ``frame.modes`` of a network.
    """
    width = settings.shape[1]
    k = 2.0 * np.pi * np.arange(width // 2 + 1) / width
    if isinstance(settings, MachineSettings):
        along = np.stack([np.zeros_like(k), k], axis=-1)
        measured = np.asarray(model.spectrum(frame.x[0], frame.time)[0])
        linear = np.asarray(dispersion(along, frame.time, dictionary=settings.dictionary))
        of_null = np.asarray(null.spectrum(frame.x[0], frame.time)[0])
    else:
        k, measured = k[:SHELLS], frame.modes
        linear = of_null = np.full(SHELLS, np.nan)
    power = structure_factor(frame.x).mean(0)
    return Spectra(k, measured, linear, of_null, shell_wave_numbers(settings.shape)[1:], power[1:])


def _of_states(settings: MachineSettings | UNetSettings) -> Iterator[Frame]:
    """A frame every ``settings.every`` steps and at the end."""
    model: Any = settings.model()
    running = states(
        model,
        settings.shape,
        settings.trajectories,
        log_time_grid(steps=settings.steps),
        settings.seed,
        solver=settings.solver,
        every=settings.every,
    )
    for state in running:
        modes = np.median(shell_average(model.mode_derivatives(state.x, state.time, range(SHELLS))), axis=0)
        yield Frame(state.time, state.x, np.atleast_1d(correlation_length(state.x)), modes, _greys(state.x[0]))


def _of_samples(settings: EDMSettings) -> Iterator[Frame]:
    """A frame at every noise level: the state at unit variance, beside it the denoised image."""
    from ..neural import latents, luminance, mode_derivatives, sample

    net = settings.model()
    labels = np.full(settings.trajectories, settings.class_label)
    seeds = range(settings.seed, settings.seed + settings.trajectories)
    runs = sample(net, latents(seeds, net), labels, steps=settings.steps, record=range(settings.steps))
    for sigma, x, denoised in zip(runs.sigmas.tolist(), runs.states, runs.denoised, strict=True):
        lambdas = mode_derivatives(net, x, sigma, labels, shells=range(SHELLS))
        fields, estimates = luminance(x.numpy()), luminance(denoised.numpy())
        lengths = correlation_length(fields, "second-moment", binarize=False)
        picture = np.hstack([_greys(fields[0] / np.sqrt(1.0 + sigma**2)), _greys(estimates[0])])
        yield Frame(sigma, fields, lengths, sigma * np.median(shell_average(lambdas), axis=0), picture)


def _greys(field: NDArray[Any]) -> NDArray[np.uint8]:
    """White from 1.2, black to -1.2: nearly all of a pattern of +-1 and most of white noise."""
    return np.clip((np.asarray(field) + 1.2) * (255.0 / 2.4), 0, 255).astype(np.uint8)
