"""One point of a design: the parameters of a run, its identity, and the seed that follows from it."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ..errors import FastpatchError, InvalidInputError
from ..validation import integer

if TYPE_CHECKING:
    import xarray as xr

    from ..models import PatchModel

__all__ = ["Parameters", "Point", "Recording"]


@dataclass(frozen=True)
class Parameters:
    """What a design may vary, with the values of the paper (App. C.13) where it does not.

    Attributes
    ----------
    L : sides of the square lattice, in sites
    P : odd side of a pattern, in sites
    K : random patterns of the dictionary, before sign flips
    sign_flips : whether every random pattern's sign flip is added
    uniform_mass : prior mass of the two uniform patterns
    dictionary_seed : seed of the random patterns
    beta : constant noise rate
    T, t_min : first and last diffusion time
    steps : integration steps on the logarithmic grid
    trajectories : independent trajectories of the point
    solver : how a state becomes the next, see `fastpatch.simulate`
    dtype : precision of the states
    backend : where the steps run on a worker; states agree between the two to rounding only
    """

    L: int = 80
    P: int = 5
    K: int = 8
    sign_flips: bool = True
    uniform_mass: float = 0.9
    dictionary_seed: int = 0
    beta: float = 1.0
    T: float = 50.0
    t_min: float = 1e-3
    steps: int = 2000
    trajectories: int = 4
    solver: Literal["euler-maruyama", "ancestral", "heun"] = "euler-maruyama"
    dtype: Literal["float32", "float64"] = "float32"
    backend: Literal["cpu", "cuda"] = "cpu"


@dataclass(frozen=True)
class Recording:
    """What every point of a sweep records: at most ``records + 1`` times, and the shells 0 … ``shells``."""

    records: int
    shells: int


@dataclass(frozen=True)
class Point:
    """A run of a sweep: its parameters, and which replica of them it is.

    Its identity is made of these and the sweep's seed alone, so that neither its number in the sweep, nor the values
    of other points, nor what is recorded changes its trajectories.
    """

    parameters: Parameters
    replica: int
    sweep_seed: int

    @cached_property
    def _digest(self) -> bytes:
        content = {**vars(self.parameters), "replica": self.replica, "sweep_seed": self.sweep_seed}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()

    @property
    def id(self) -> str:
        """32 hexadecimal digits that name the point."""
        return self._digest[:16].hex()

    @property
    def seed(self) -> int:
        """Seed of its noise, in [0, 2^64)."""
        return int.from_bytes(self._digest[-8:], "little")

    @property
    def site_steps(self) -> int:
        """Cost: trajectories times sites times steps."""
        p = self.parameters
        return p.trajectories * p.L**2 * p.steps

    def describe(self) -> str:
        """The parameters that are not the defaults, for messages."""
        default = vars(Parameters())
        found = {name: value for name, value in vars(self.parameters).items() if value != default[name]}
        found |= {"replica": self.replica} if self.replica else {}
        return ", ".join(f"{name} = {value}" for name, value in found.items()) or "all defaults"

    def model(self) -> "PatchModel":
        """The model of this point; raises what `PatchDictionary.random` and `VPSchedule` raise."""
        from ..dictionary import PatchDictionary
        from ..models import PatchModel
        from ..process import VPSchedule

        p = self.parameters
        dictionary = PatchDictionary.random(p.K, p.sign_flips, p.uniform_mass, p.P, p.dictionary_seed)
        return PatchModel(dictionary, VPSchedule(p.beta))

    def arguments(self) -> dict[str, Any]:
        """The arguments of `fastpatch.simulate` that are this point's trajectories."""
        from ..process import log_time_grid

        p = self.parameters
        return {
            "model": self.model(),
            "shape": (p.L, p.L),
            "trajectories": p.trajectories,
            "times": log_time_grid(p.T, p.t_min, p.steps),
            "seed": self.seed,
            "solver": p.solver,
            "backend": p.backend,
            "dtype": p.dtype,
        }

    def check(self) -> None:
        """Raise `InvalidInputError` naming the point if its parameters are outside what a run accepts.

        Whether this machine has the point's backend is not asked: another one will run it.
        """
        from ..runs.setup import Setup

        p = self.parameters
        try:
            integer(p.dictionary_seed, "dictionary_seed", minimum=0, maximum=2**63 - 1)
            Setup.of(**{**self.arguments(), "backend": "cpu"})
            if p.solver == "heun" and p.backend == "cuda":
                raise InvalidInputError("backend 'cuda' has no kernels for solver 'heun'")
        except FastpatchError as error:
            raise InvalidInputError(f"the point with {self.describe()} is impossible: {error}") from None

    def simulate(self, recording: Recording, snapshots: Any = 0) -> "xr.Dataset":
        """Run the point, recording as its sweep does, and return the dataset of `fastpatch.simulate`.

        The same numbers, bit for bit, as the sweep has, with the fields of ``snapshots`` besides.
        """
        from ..runs.simulation import simulate

        return simulate(
            **self.arguments(),
            record_every=-(-self.parameters.steps // recording.records),
            snapshots=snapshots,
            shells=range(recording.shells + 1),
        )
