"""The points of a design, in the order of its parameters, the last one varying fastest."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any

from ..errors import InvalidInputError
from .point import Parameters, Point
from .spec import MOST_POINTS, Range, Spec

__all__ = ["points_of"]


def points_of(spec: Spec) -> list[Point]:
    """All points of a spec. Those of a spec with more values, draws or replicas contain them.

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
            points.append(Point(parameters, repeats[parameters], spec.seed))
            repeats[parameters] += 1
    return points


def _grid(spec: Spec) -> Iterator[Parameters]:
    axes: list[tuple[Any, ...]] = [a if isinstance(a, tuple) else (a,) for a in spec.parameters.values()]
    for values in product(*axes):
        yield Parameters(**dict(zip(spec.parameters, values, strict=True)))


def _draws(spec: Spec, count: int) -> Iterator[Parameters]:
    for index in range(count):
        yield Parameters(**{name: _draw(axis, f"{spec.seed}/{index}/{name}") for name, axis in spec.parameters.items()})


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
