"""Which scaling study a design is, by the parameters that vary in it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from ..sweeps import Parameters

__all__ = ["Kind", "require_kind", "study_kind"]

Kind = Literal["finite-size", "quench-rate", "prior-mass"]

# The number of trajectories may vary in all of them.
_IGNORED = {"trajectories"}
_QUENCH = {"beta", "steps", "t_max", "t_min"}
_MASS = {"uniform_mass", "dictionary_seed"}


def study_kind(points: "Iterable[Parameters]") -> Kind | None:
    """The study of these points, None if it is none of the three.

    Finite size where the sides of squares alone vary; quench rate for any of beta, steps, t_max and t_min; prior mass
    for uniform_mass, whatever dictionary_seed does.
    """
    found = list(points)
    varying = _varying(found)
    if varying == {"shape"} and all(point.shape[0] == point.shape[1] for point in found):
        return "finite-size"
    if varying and varying <= _QUENCH:
        return "quench-rate"
    return "prior-mass" if "uniform_mass" in varying and varying <= _MASS else None


def require_kind(points: "Iterable[Parameters]") -> Kind:
    """`study_kind`, or `InvalidInputError`."""
    found = list(points)
    kind = study_kind(found)
    if kind is None:
        raise InvalidInputError(
            f"the finished points vary in {', '.join(sorted(_varying(found))) or 'no parameter'}; expected shapes of "
            "squares alone, beta, steps, t_max or t_min, or uniform_mass and possibly dictionary_seed"
        )
    return kind


def _varying(points: "Iterable[Parameters]") -> set[str]:
    values: dict[str, set[object]] = {}
    for point in points:
        for name, value in vars(point).items():
            values.setdefault(name, set()).add(value)
    return {name for name, found in values.items() if len(found) > 1} - _IGNORED
