"""One point of a design: the parameters of a run, its identity, and the seed that follows from it."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import FastpatchError, InvalidInputError
from ..validation import integer

if TYPE_CHECKING:
    import xarray as xr

    from ..models import PatchModel

__all__ = ["DRAWN", "Parameters", "Point", "Recording"]

# The parameters of random patterns, which mean nothing beside a dictionary of one's own.
DRAWN = ("patch_size", "random_patterns", "sign_flips", "uniform_mass", "dictionary_seed")


@dataclass(frozen=True)
class Parameters:
    """What a design may vary, with the values of the paper (App. C.13) where it does not.

    Attributes
    ----------
    shape : the two sides of the lattice, in sites
    dictionary : digest of a dictionary of one's own (`fastpatch.PatchDictionary.digest`); empty for random patterns
    patch_size : odd side of a random pattern, in sites
    random_patterns : random patterns of the dictionary, before sign flips
    sign_flips : whether every random pattern's sign flip is added
    uniform_mass : prior mass of the two uniform patterns
    dictionary_seed : seed of the random patterns
    beta : constant noise rate
    t_max, t_min : first and last diffusion time
    steps : integration steps on the logarithmic grid
    trajectories : independent trajectories of the point
    solver : how a state becomes the next, see `fastpatch.simulate`
    dtype : precision of the states
    backend : where the steps run on a worker; states agree between the two to rounding only

    Beside a dictionary of one's own, the five parameters of random patterns keep their defaults and mean nothing.
    """

    shape: tuple[int, int] = (80, 80)
    dictionary: str = ""
    patch_size: int = 5
    random_patterns: int = 8
    sign_flips: bool = True
    uniform_mass: float = 0.9
    dictionary_seed: int = 0
    beta: float = 1.0
    t_max: float = 50.0
    t_min: float = 1e-3
    steps: int = 2000
    trajectories: int = 4
    solver: Literal["euler-maruyama", "ancestral", "heun"] = "euler-maruyama"
    dtype: Literal["float32", "float64"] = "float32"
    backend: Literal["cpu", "cuda"] = "cpu"

    def labels(self) -> dict[str, Any]:
        """What tells points apart, as numbers and text: the parameters that mean something, and the number of sites.

        ``shape`` is written as the command line takes it, 200x120.
        """
        idle = DRAWN if self.dictionary else ("dictionary",)
        found = {name: value for name, value in vars(self).items() if name not in idle}
        return {**found, "shape": "{}x{}".format(*self.shape), "sites": math.prod(self.shape)}


@dataclass(frozen=True)
class Recording:
    """What every point of a sweep records: at most ``records + 1`` times, and the shells 0 … ``shells``."""

    records: int
    shells: int


@dataclass(frozen=True)
class Point:
    """A run of a sweep: its parameters, and which replica of them it is.

    Its identity is made of these and the sweep's seed alone, so that neither its number in the sweep, nor the values
    of other points, nor what is recorded changes its trajectories. ``patterns`` is the file of a dictionary of one's
    own, whose digest is among the parameters.
    """

    parameters: Parameters
    replica: int
    sweep_seed: int
    patterns: Path | None = field(default=None, compare=False)

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
        return p.trajectories * math.prod(p.shape) * p.steps

    def describe(self) -> str:
        """The parameters that are not the defaults, for messages."""
        default = Parameters().labels() | {"dictionary": "", "sites": self.parameters.labels()["sites"]}
        found = {name: value for name, value in self.parameters.labels().items() if value != default[name]}
        found |= {"dictionary": found["dictionary"][:12]} if "dictionary" in found else {}
        found |= {"replica": self.replica} if self.replica else {}
        return ", ".join(f"{name} = {value}" for name, value in found.items()) or "all defaults"

    def model(self) -> "PatchModel":
        """The model of this point.

        Raises what `PatchDictionary.random` and `VPSchedule` raise, and `ResultFileError` where the file of a
        dictionary of one's own is missing, damaged or holds another one.
        """
        from ..dictionary import PatchDictionary
        from ..models import PatchModel
        from ..process import VPSchedule
        from .dictionaries import load_dictionary

        p = self.parameters
        if p.dictionary:
            dictionary = load_dictionary(self.patterns, p.dictionary)
        else:
            dictionary = PatchDictionary.random(
                p.random_patterns, p.sign_flips, p.uniform_mass, p.patch_size, p.dictionary_seed
            )
        return PatchModel(dictionary, VPSchedule(p.beta))

    def arguments(self) -> dict[str, Any]:
        """The arguments of `fastpatch.simulate` that are this point's trajectories."""
        from ..process import log_time_grid

        p = self.parameters
        return {
            "model": self.model(),
            "shape": p.shape,
            "trajectories": p.trajectories,
            "times": log_time_grid(p.t_max, p.t_min, p.steps),
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
