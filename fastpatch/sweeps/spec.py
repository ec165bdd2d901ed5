"""What a sweep is to compute: a design over the parameters of the patch machine."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .point import Recording

__all__ = ["MOST_POINTS", "Axis", "Range", "Spec", "Value"]

MOST_POINTS = 1_000_000

Value = int | float | str

# Site-steps that a spec may ask for unless it states another number: about an hour on one core.
_BUDGET = 1e11


@dataclass(frozen=True)
class Range:
    """An interval, both ends included, to draw from uniformly on a linear or a logarithmic scale.

    Integer ends mean integers.
    """

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"

    def at(self, share: float) -> float:
        """The value at ``share`` in [0, 1] of the way from low to high.

        Rounded to 12 digits, so that a point keeps its identity where another C library rounds powers differently.
        """
        if self.scale == "log":
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + (self.high - self.low) * share
        return float(f"{value:.12g}")


Axis = Value | tuple[Value, ...] | Range


@dataclass(frozen=True)
class Spec:
    """A design over `Parameters`; read one with `load_spec`, which checks it.

    Attributes
    ----------
    parameters
        For every one of `Parameters`, in their order: one value, a tuple of distinct values, or a `Range`.
    design
        "grid", all combinations of the values; or "random", ``points`` draws, each parameter on its own, from its
        range or with equal probability from its tuple.
    points
        Number of draws of a random design, None for a grid.
    replicas
        How often every combination is run, with another seed each time.
    seed
        Seed of the draws and, with its parameters, of every point.
    records, shells
        What is recorded of every point: at most ``records + 1`` times, evenly spaced in steps; shells 0 … ``shells``.
    budget
        Site-steps (trajectories times sites times steps, summed over points) beyond which a sweep asks back.
    title
        For people.
    source
        What messages call the spec.
    """

    parameters: Mapping[str, Axis]
    design: Literal["grid", "random"] = "grid"
    points: int | None = None
    replicas: int = 1
    seed: int = 0
    records: int = 200
    shells: int = 6
    budget: float = _BUDGET
    title: str = ""
    source: str = field(default="the spec", compare=False)

    @property
    def recording(self) -> Recording:
        """What every point records."""
        return Recording(self.records, self.shells)

    def canonical(self) -> dict[str, Any]:
        """All that determines points and records, and no more, as a mapping that JSON and `load_spec` take."""
        axes = {
            name: asdict(axis) if isinstance(axis, Range) else list(axis) if isinstance(axis, tuple) else axis
            for name, axis in self.parameters.items()
        }
        names = ("design", *(() if self.points is None else ("points",)), "replicas", "seed", "records", "shells")
        return {**{name: getattr(self, name) for name in names}, "parameters": axes}

    def difference(self, other: "Spec") -> str | None:
        """The first thing that determines points or records and is set otherwise in ``other``; None if nothing is."""
        mine, theirs = ({**c.pop("parameters"), **c} for c in (self.canonical(), other.canonical()))
        for name in {**mine, **theirs}:
            if mine.get(name) != theirs.get(name):
                found, expected = (json.dumps(c.get(name, "absent")) for c in (mine, theirs))
                return f"{name} is {found} in {self.source} and {expected} in {other.source}"
        return None
