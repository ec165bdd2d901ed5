"""What is read off the states of a run: the built-in observables by name, and those of a user."""

import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from numpy.typing import ArrayLike, NDArray

from ..analysis.domain_walls import domain_wall_density
from ..analysis.order_parameter import order_parameter_moments
from ..analysis.structure_factor import shell_wave_numbers, structure_factor
from ..errors import InvalidInputError

__all__ = ["DEFAULT", "FUSED", "RESERVED", "Observable", "ObservableName", "ObservableWarning", "chosen_observables"]

ObservableName = Literal[
    "xi_x",
    "mode_derivative",
    "xi_eq",
    "magnetization",
    "structure_factor",
    "order_parameter_moments",
    "domain_wall_density",
]

# What every engine takes on the way, where the posterior is at hand or the field lies.
FUSED = ("xi_x", "mode_derivative", "xi_eq", "magnetization")
DEFAULT: tuple[ObservableName, ...] = ("xi_x", "mode_derivative", "xi_eq", "magnetization")

# Variables and coordinates that a result has already, whatever its model.
RESERVED = {
    *FUSED, "snapshot", "final", "time", "step", "trajectory", "shell", "direction", "wave_number", "snapshot_time",
}  # fmt: skip


class ObservableWarning(UserWarning):
    """An observable failed, or returned NaN, in the course of a run; its records hold NaN there."""


@dataclass(frozen=True)
class Observable:
    """A function of states, recorded under a name beside the built-in observables.

    Parameters
    ----------
    function
        ``function(x, t)`` of states (T, L1, L2), read-only in the dtype of the run, and the diffusion time t. It
        returns numbers (T, ...), of the same shape at every time; they are kept as float64. ``x`` is valid during the
        call only: what is to be kept of it must be copied. A checkpoint is resumed with the same function alone, in its
        code, defaults, captured variables and globals: one that changes any of these as it runs is another one then.
    name
        Name of the variable in the dataset; the function's ``__name__`` by default.
    dims
        Names of the axes beyond the first. A dimension that the dataset has already ("y", "x", "shell", …, those of the
        model's arrays and of other observables) must have its length.
    units, long_name
        Attributes of the variable.
    coordinates
        Values along ``dims``, from the lattice shape: ``coordinates((L1, L2)) -> {name: (dims, values)}``, which is
        called before the first step.

    Raises `InvalidInputError` for a function that cannot be called, or a name or dimension that a dataset cannot have.
    """

    function: Callable[[NDArray[Any], float], ArrayLike]
    name: str = ""
    dims: str | tuple[str, ...] = ()
    units: str = "1"
    long_name: str = ""
    coordinates: Callable[[tuple[int, int]], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidInputError(f"an observable is {self.function!r}; expected a name, a function or an Observable")
        name = self.name or getattr(self.function, "__name__", type(self.function).__name__)
        if not name.isidentifier() or keyword.iskeyword(name):
            raise InvalidInputError(f"an observable is called {name!r}; expected a name=... that is an identifier")
        object.__setattr__(self, "name", name)
        given: str | tuple[str, ...] = self.dims
        dims = (given,) if isinstance(given, str) else tuple(given)
        taken = {"trajectory", "time", name}
        if not all(isinstance(dim, str) and dim.isidentifier() for dim in dims) or len({*dims, *taken}) < len(dims) + 3:
            raise InvalidInputError(
                f"observable {name!r} has dims {dims}; expected distinct identifiers other than {sorted(taken)}"
            )
        object.__setattr__(self, "dims", dims)

    @property
    def axes(self) -> tuple[str, ...]:
        """``dims`` as a tuple, which they are from the constructor on."""
        return tuple(self.dims)

    @property
    def is_built_in(self) -> bool:
        """Whether it is one of those that go by their names."""
        return _BUILT_IN.get(self.name) is self


def _shell_coordinate(shape: tuple[int, int]) -> dict[str, Any]:
    attributes = {"long_name": "mean |k| of the shell", "units": "radians / lattice site"}
    return {"k": (("radial_shell",), shell_wave_numbers(shape), attributes)}


_BUILT_IN = {
    "structure_factor": Observable(
        lambda x, t: structure_factor(x), "structure_factor", ("radial_shell",),
        long_name="structure factor S(k), averaged over directions", coordinates=_shell_coordinate,
    ),
    "order_parameter_moments": Observable(
        lambda x, t: order_parameter_moments(x), "order_parameter_moments", ("moment",),
        long_name="|m|, m^2 and m^4 of the magnetization",
        coordinates=lambda shape: {"moment": (("moment",), ["|m|", "m^2", "m^4"])},
    ),
    "domain_wall_density": Observable(
        lambda x, t: domain_wall_density(x), "domain_wall_density",
        long_name="share of nearest-neighbour bonds across which x changes sign",
    ),
}  # fmt: skip


def chosen_observables(
    observables: Sequence[ObservableName | Callable[[NDArray[Any], float], ArrayLike] | Observable] | None,
) -> tuple[tuple[str, ...], tuple[Observable, ...]]:
    """The names of the fused observables that are wanted, and the others; `DEFAULT` for None.

    Raises `InvalidInputError` for an unknown name, or a name that is given twice or taken.
    """
    if isinstance(observables, str | Observable) or callable(observables):
        raise InvalidInputError(f"observables is {observables!r}; expected a sequence of them")
    fused: list[str] = []
    others: list[Observable] = []
    for wanted in DEFAULT if observables is None else observables:
        if isinstance(wanted, str):
            if wanted not in get_args(ObservableName):
                known = ", ".join(get_args(ObservableName))
                raise InvalidInputError(f"observable {wanted!r} is unknown; expected one of {known}, or a function")
            if wanted in FUSED:
                fused.append(wanted)
            else:
                others.append(_BUILT_IN[wanted])
        else:
            found = wanted if isinstance(wanted, Observable) else Observable(wanted)
            if found.name in RESERVED or (found.name in _BUILT_IN and not found.is_built_in):
                raise InvalidInputError(f"an observable is called {found.name!r}, which is taken; expected another")
            others.append(found)
    names = [*fused, *(observable.name for observable in others)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"observable {twice[0]!r} is given twice; expected each once")
    return tuple(fused), tuple(others)
