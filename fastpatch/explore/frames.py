"""The frames of a run: what is shown of every state, measured while the run goes on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis import (
    correlation_length,
    directional_derivatives,
    finite_difference_step,
    fourier_modes,
    shell_average,
    structure_factor,
)
from ..process import log_time_grid
from ..runs import states
from ..theory import dispersion
from .settings import MachineSettings, Settings

__all__ = ["SHELLS", "Frame", "Spectra", "frames", "spectra"]

SHELLS = 5


@dataclass(frozen=True, eq=False)
class Frame:
    """One state of a run.

    ``x`` (trajectories, L1, L2); ``xi_x`` (trajectories,) in sites; ``modes`` (SHELLS,), lambda_n averaged over
    directions, median over trajectories.
    """

    time: float
    x: NDArray[np.float32]
    xi_x: NDArray[np.float64]
    modes: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectra:
    """Curves over wave numbers at one state, all along the second lattice axis; missing ones are empty.

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
    """Run the settings, yielding a frame every ``settings.every`` steps and at the end."""
    model = settings.model()
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
        modes = np.median(shell_average(_mode_derivatives(model, state.x, state.time)), axis=0)
        yield Frame(state.time, state.x, np.atleast_1d(correlation_length(state.x)), modes)


def spectra(settings: Settings, frame: Frame, model: Any, null: Any) -> Spectra:
    """The curves over wave numbers of one frame; ``model`` and ``null`` are those of the settings."""
    from ..analysis import shell_wave_numbers

    empty = np.empty(0)
    width = settings.shape[1]
    k = 2.0 * np.pi * np.arange(width // 2 + 1) / width
    measured = linear = of_null = empty
    if hasattr(model, "spectrum"):
        measured = np.asarray(model.spectrum(frame.x[0], frame.time)[0])
    else:
        k, measured = k[:SHELLS], frame.modes
    if isinstance(settings, MachineSettings):
        along = np.stack([np.zeros_like(k), k], axis=-1)
        linear = np.asarray(dispersion(along, frame.time, dictionary=settings.dictionary))
        of_null = np.asarray(null.spectrum(frame.x[0], frame.time)[0])
    power = structure_factor(frame.x).mean(0)
    return Spectra(k, measured, linear, of_null, shell_wave_numbers(settings.shape), power)


def _mode_derivatives(model: Any, x: NDArray[Any], t: float) -> NDArray[np.float64]:
    exact = getattr(model, "mode_derivatives", None)
    if exact is not None:
        return np.asarray(exact(x, t, range(SHELLS)), dtype=np.float64)
    modes = fourier_modes((x.shape[-2], x.shape[-1]), range(SHELLS))
    step = finite_difference_step(model.schedule.sigma2(t))
    found = directional_derivatives(lambda y: model.drift(y, t), x.astype(np.float64), modes, step)
    return np.asarray(found, dtype=np.float64)
