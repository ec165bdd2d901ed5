"""What a sweep is to compute: a design over the parameters of the patch machine, and its points."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

from ..errors import InvalidInputError
from .point import DRAWN, Parameters, Point, Recording

__all__ = ["MOST_POINTS", "Axis", "Range", "Spec", "Value", "points_of"]

MOST_POINTS = 1_000_000

Value = int | float | str | tuple[int, int]

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
        For every one of `Parameters`, in their order: one value, a tuple of distinct values, or a `Range`. Of
        ``shape``, which is a tuple itself: a tuple of shapes, or a `Range` of the sides of squares.
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
    dictionaries
        The files of the dictionaries among the parameters, by digest.
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
    dictionaries: Mapping[str, Path] = field(default_factory=dict, compare=False)

    @property
    def recording(self) -> Recording:
        """What every point records."""
        return Recording(self.records, self.shells)

    def canonical(self) -> dict[str, Any]:
        """All that determines points and records, and no more, as a mapping that JSON and `load_spec` take."""
        idle = DRAWN if self.parameters.get("dictionary") else ("dictionary",)
        axes = {name: _canonical(axis) for name, axis in self.parameters.items() if name not in idle}
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


def points_of(spec: Spec) -> list[Point]:
    """All points of a spec, in the order of its parameters, the last one varying fastest.

    Those of a spec with more values, draws or replicas contain them.

    Raises `InvalidInputError` for more than a million.
    """
    count = spec.replicas * (spec.points or math.prod(len(a) for a in spec.parameters.values() if isinstance(a, tuple)))
    if count > MOST_POINTS:
        raise InvalidInputError(f"{spec.source} asks for {count} points; expected at most {MOST_POINTS}")
    combinations = _grid(spec) if spec.points is None else _draws(spec, spec.points)
    # A draw may repeat another one; it is then one more replica of it.
    repeats: Counter[Parameters] = Counter()
    points = []
    for parameters in combinations:
        for _ in range(spec.replicas):
            own = spec.dictionaries.get(parameters.dictionary)
            points.append(Point(parameters, repeats[parameters], spec.seed, own))
            repeats[parameters] += 1
    return points


def _canonical(axis: Axis) -> Any:
    """An axis as JSON and `load_spec` take it."""
    if isinstance(axis, Range):
        return asdict(axis)
    if not isinstance(axis, tuple):
        return axis
    values = ["{}x{}".format(*value) if isinstance(value, tuple) else value for value in axis]
    return values if len(values) > 1 else values[0]


def _grid(spec: Spec) -> Iterator[Parameters]:
    axes: list[tuple[Any, ...]] = [a if isinstance(a, tuple) else (a,) for a in spec.parameters.values()]
    for values in product(*axes):
        yield Parameters(**dict(zip(spec.parameters, values, strict=True)))


def _draws(spec: Spec, count: int) -> Iterator[Parameters]:
    for index in range(count):
        drawn = {name: _draw(axis, f"{spec.seed}/{index}/{name}") for name, axis in spec.parameters.items()}
        if isinstance(spec.parameters.get("shape"), Range):
            drawn["shape"] = (drawn["shape"], drawn["shape"])
        yield Parameters(**drawn)


def _draw(axis: Any, key: str) -> Any:
    """A value of an axis that depends on the key alone: not on other draws, nor on a generator's version."""
    if not isinstance(axis, tuple | Range):
        return axis
    word = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    if isinstance(axis, tuple):
        return axis[word * len(axis) >> 64]
    if isinstance(axis.low, int):
        return min(axis.high, math.floor(Range(axis.low, axis.high + 1, axis.scale).at(word / 2**64)))
    return axis.at(word / 2**64)
