"""The settings of a pulse experiment, checked once."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInputError
from ...validation import finite_float, integer
from ..edm_grid import SIGMA_MAX, SIGMA_MIN, sigma_grid
from ..guidance import LOW_SHELLS, Pulse
from .treatment import UNGUIDED, Treatment, on_grid

__all__ = ["CONTROLS", "Control", "PulseSettings", "ScanBy"]

Control = Literal["random", "step-matched", "log-uniform", "scan", "bands", "constant", "neighbours", "kicks"]
CONTROLS: tuple[Control, ...] = get_args(Control)
ScanBy = Literal["evaluations", "relative-width"]


@dataclass(frozen=True)
class PulseSettings:
    r"""What is compared with what, and how often (paper App. F.4-F.5).

    The paper states neither the pulse's width nor its strength: both defaults are ours.

    Attributes
    ----------
    sigma_c
        Centre of the critical pulse.
    half_width
        Delta; by default half of sigma_c, so that the window is :math:`[\sigma_c / 2, 3 \sigma_c / 2]`.
    weight
        w_pulse, not 0; 3, hence EDM2's g = 4, is a strong guidance.
    classes, trials
        Class indices, and samples of each class and condition. The trials of all conditions share their noise.
    controls
        What is run beside the critical and the unguided condition, see `conditions`.
    scan_by, scan_step
        Pulses of the scan: as many guided evaluations as the critical one, or its relative width; from one to the
        next, octaves (factors of two) of sigma, counted from the critical one and rounded to the grid.
    kick, kick_step
        Size of the kicks, root mean square over the pixels in units of x, and octaves of sigma from one to the next,
        see `kick_positions`.
    cutoff
        Highest shell of the low band, see `project`.
    seed
        Fixes noise and random positions of all trials: those of a class and trial do not depend on the others.
    steps, sigma_max, sigma_min, rho
        The grid, see `sigma_grid`.
    batch
        Most images computed at once. Rounding may depend on it.

    Raises
    ------
    InvalidInputError, DtypeError
        For any value outside its range; a critical pulse outside the grid's noise levels, or between two of them.
    """

    sigma_c: float
    half_width: float | None = None
    weight: float = 3.0
    classes: tuple[int, ...] = tuple(range(10))
    trials: int = 36
    controls: tuple[Control, ...] = CONTROLS
    scan_by: ScanBy = "evaluations"
    scan_step: float = 1.0
    kick: float = 0.1
    kick_step: float = 2.0
    cutoff: float = LOW_SHELLS
    seed: int = 0
    steps: int = 32
    sigma_max: float = SIGMA_MAX
    sigma_min: float = SIGMA_MIN
    rho: float = 7.0
    batch: int = 32

    def __post_init__(self) -> None:
        for name in ("trials", "batch"):
            integer(getattr(self, name), name, minimum=1)
        integer(self.seed, "seed", minimum=0)
        if finite_float(self.weight, "weight") == 0.0:
            raise InvalidInputError("weight is 0; expected the strength of the pulse")
        if finite_float(self.cutoff, "cutoff") <= 0.0:
            raise InvalidInputError(f"cutoff is {self.cutoff}; expected a positive shell number")
        if finite_float(self.kick, "kick") <= 0.0:
            raise InvalidInputError(f"kick is {self.kick}; expected a positive displacement")
        for name in ("scan_step", "kick_step"):
            if finite_float(getattr(self, name), name) <= 0.0:
                raise InvalidInputError(f"{name} is {getattr(self, name)}; expected a positive number of octaves")
        found = [integer(index, "a class", minimum=0) for index in self.classes]
        if not found or len(set(found)) != len(found):
            raise InvalidInputError(f"classes are {found}; expected at least one class, each once")
        for control in self.controls:
            if control not in CONTROLS:
                raise InvalidInputError(f"controls hold {control!r}; expected some of {', '.join(CONTROLS)}")
        if self.scan_by not in get_args(ScanBy):
            raise InvalidInputError(f"scan_by is {self.scan_by!r}; expected one of {', '.join(get_args(ScanBy))}")
        self.pulse.check_range(float(self.grid[-2]), float(self.grid[0]))
        if self.critical == UNGUIDED:
            low, high = self.pulse.window
            raise InvalidInputError(
                f"the pulse at noise levels from {low:g} to {high:g} falls between two steps of the sampler and would "
                "guide none; expected a larger half width, or more steps"
            )

    @cached_property
    def grid(self) -> NDArray[np.float64]:
        return sigma_grid(self.steps, self.sigma_max, self.sigma_min, self.rho)

    @cached_property
    def pulse(self) -> Pulse:
        """The critical pulse."""
        return Pulse(self.sigma_c, 0.5 * self.sigma_c if self.half_width is None else self.half_width, self.weight)

    @cached_property
    def critical(self) -> Treatment:
        """The critical pulse on the grid."""
        return on_grid(self.pulse, self.grid)

    @property
    def identity(self) -> dict[str, Any]:
        """All of them, as JSON values, with the half width as it is used and controls in one order."""
        controls = [control for control in CONTROLS if control in self.controls]
        classes = list(self.classes)
        return asdict(self) | {"half_width": self.pulse.half_width, "controls": controls, "classes": classes}
