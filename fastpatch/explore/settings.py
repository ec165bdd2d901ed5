"""What the controls choose: the settings of one run, and the Python that makes the same run."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..dictionary import PatchDictionary
from ..models import GaussianModel, PatchModel
from ..theory import critical_times
from .look import DIFFUSION, NOISE_LEVEL, Look

if TYPE_CHECKING:
    import xarray as xr

    from ..models.base import Model
    from ..neural import Denoiser

__all__ = ["EDMSettings", "MachineSettings", "Settings", "UNetSettings"]

_FRAMES = 200
_NETWORK_FRAMES = 50

SolverName = Literal["euler-maruyama", "ancestral", "heun"]


@dataclass(frozen=True)
class MachineSettings:
    """A run of the patch machine; the names are those of `PatchDictionary.random` and `simulate`."""

    n_random: int = 8
    uniform_mass: float = 0.9
    size: int = 5
    dictionary_seed: int = 0
    side: int = 80
    trajectories: int = 4
    steps: int = 1000
    seed: int = 0
    solver: SolverName = "euler-maruyama"
    look: ClassVar[Look] = DIFFUSION

    @property
    def dictionary(self) -> PatchDictionary:
        # Without random patterns all mass is that of the uniform ones.
        mass = self.uniform_mass if self.n_random else 1.0
        return PatchDictionary.random(self.n_random, True, mass, self.size, self.dictionary_seed)

    def model(self) -> "Model":
        return PatchModel(self.dictionary)

    def null(self) -> GaussianModel:
        """The Gaussian field of the same second moments."""
        return GaussianModel.from_dictionary(self.dictionary, self.shape)

    @property
    def shape(self) -> tuple[int, int]:
        return (self.side, self.side)

    @property
    def every(self) -> int:
        """Steps between two frames."""
        return max(1, self.steps // _FRAMES)

    @property
    def frames(self) -> int:
        """Of the whole run."""
        return _frames(self.steps, self.every)

    def predictions(self) -> dict[str, float]:
        """Predicted critical times by condition."""
        return {str(name): time for name, time in critical_times(dictionary=self.dictionary).items()}

    def code(self) -> str:
        mass = self.uniform_mass if self.n_random else 1.0
        return (
            "import fastpatch as fp\n\n"
            f"dictionary = fp.PatchDictionary.random(n_random={self.n_random}, uniform_mass={mass}, "
            f"size={self.size}, seed={self.dictionary_seed})\n"
            "model = fp.PatchModel(dictionary)\n"
        ) + _simulating(self)

    def simulate(self) -> "xr.Dataset":
        """What `code` computes."""
        return _simulate(self.model(), self)


@dataclass(frozen=True)
class UNetSettings:
    """A run of a U-Net that ships; steps are network evaluations."""

    variant: Literal["binarised", "grey"] = "binarised"
    trajectories: int = 4
    steps: int = 250
    seed: int = 0
    # The ancestral step divides by alpha: what a network errs by at large t it multiplies.
    solver: SolverName = "euler-maruyama"
    look: ClassVar[Look] = DIFFUSION

    def model(self) -> "Model":
        from ..neural.unet import UNetModel

        return UNetModel.shipped(self.variant)

    def null(self) -> None:
        """Its data are not part of the package, so neither are their second moments."""

    @property
    def shape(self) -> tuple[int, int]:
        return (28, 28)

    @property
    def every(self) -> int:
        return max(1, self.steps // _NETWORK_FRAMES)

    @property
    def frames(self) -> int:
        return _frames(self.steps, self.every)

    def predictions(self) -> dict[str, float]:
        return {}

    def code(self) -> str:
        return (
            "import fastpatch as fp\n"
            "from fastpatch.neural.unet import UNetModel\n\n"
            f'model = UNetModel.shipped("{self.variant}")\n'
        ) + _simulating(self)

    def simulate(self) -> "xr.Dataset":
        return _simulate(self.model(), self)


@dataclass(frozen=True)
class EDMSettings:
    """Samples of one class from the EDM2 network that ships; a step is two evaluations, and a frame."""

    class_label: int = 0
    trajectories: int = 2
    steps: int = 32
    seed: int = 0
    look: ClassVar[Look] = NOISE_LEVEL

    def model(self) -> "Denoiser":
        from ..neural import edm2

        return edm2.load(edm2.shipped_network())

    def null(self) -> None:
        """As for the U-Nets."""

    @property
    def shape(self) -> tuple[int, int]:
        return (32, 32)

    @property
    def frames(self) -> int:
        return self.steps

    def predictions(self) -> dict[str, float]:
        return {}

    def code(self) -> str:
        return (
            "import fastpatch as fp\n"
            "from fastpatch.neural import analyze, edm2\n\n"
            "network = edm2.load(edm2.shipped_network())\n"
            f"ds = analyze(network, classes=[{self.class_label}], trajectories={self.trajectories}, seed={self.seed}, "
            f"steps={self.steps})\n"
            'fp.save(ds, "result.nc")\n'
        )

    def simulate(self) -> "xr.Dataset":
        from ..neural import analyze

        return analyze(self.model(), [self.class_label], self.trajectories, self.seed, steps=self.steps)


Settings = MachineSettings | UNetSettings | EDMSettings


def _frames(steps: int, every: int) -> int:
    """The state at the start, one every so many steps, and the last."""
    return -(-steps // every) + 1


def _simulating(settings: MachineSettings | UNetSettings) -> str:
    return (
        f"times = fp.log_time_grid(steps={settings.steps})\n"
        f"ds = fp.simulate(model, shape={settings.shape}, trajectories={settings.trajectories}, times=times, "
        f'solver="{settings.solver}", seed={settings.seed}, record_every={settings.every})\n'
        'fp.save(ds, "result.nc")\n'
    )


def _simulate(model: Any, settings: MachineSettings | UNetSettings) -> "xr.Dataset":
    from ..process import log_time_grid
    from ..runs import simulate

    return simulate(
        model,
        shape=settings.shape,
        trajectories=settings.trajectories,
        times=log_time_grid(steps=settings.steps),
        seed=settings.seed,
        solver=settings.solver,
        record_every=settings.every,
    )
