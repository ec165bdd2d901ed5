"""The store of a sweep: which points it is to have, and which of them it still lacks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError, ResultFileError
from ..messages import reason
from ..runs.workers import installed
from .dictionaries import keep_dictionary
from .files import SweepFiles, digest, read_json, write, write_json
from .point import Point
from .shards import Shard, power_of_two
from .spec import Spec, points_of
from .spec_file import load_spec

__all__ = ["SweepStore"]

_FORMAT = "fastpatch-sweep-1"

# Results of a shard before compression: large enough for few files, small enough to be complete soon.
_SHARD_BYTES = 8 * 2**20


@dataclass(frozen=True)
class SweepStore:
    """What a store is to hold; `write` makes its files agree.

    Attributes
    ----------
    files : where
    specs : the spec that it was made with, and those that have extended it
    shard_points : points of a shard
    shard_trajectories : trajectories of a shard; as many as the first spec asks for
    version : of fastpatch, that made it
    digests : of its metadata and coordinates, by path in the store; empty where they are still to be written
    dictionaries : the files, by digest, of which `write` keeps copies
    """

    files: SweepFiles
    specs: tuple[Spec, ...]
    shard_points: int
    shard_trajectories: int
    version: str | None
    digests: Mapping[str, str]
    dictionaries: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def plan(cls, directory: Path, spec: Spec, *, extend: bool, over_budget: bool) -> "SweepStore":
        """The store of ``spec`` in ``directory``: a new one, the one that is there, or that one extended.

        Nothing is written. Raises `InvalidInputError` for impossible points, a design beyond its budget unless
        ``over_budget``, or a spec other than the store's unless ``extend`` and it only adds points;
        `ResultFileError` for a store of another version, a damaged manifest, or other files and no manifest.
        """
        files = SweepFiles(directory)
        if not files.manifest.exists():
            files.require_new()
            points = points_of(spec)
            _require_possible(points, spec, over_budget)
            trajectories = max(point.parameters.trajectories for point in points)
            curves = 3 + 2 * (spec.shells + 1)
            size = power_of_two(_SHARD_BYTES // (8 * curves * trajectories * (spec.records + 1)))
            return cls(files, (spec,), size, trajectories, installed()["fastpatch"], {}, spec.dictionaries)
        held = cls.open(directory)
        if held.version != installed()["fastpatch"]:
            raise ResultFileError(
                f"{directory} was made by fastpatch {held.version} and this is {installed()['fastpatch']}; "
                "expected the version that made it, or a new directory"
            )
        difference = spec.difference(held.specs[-1])
        if difference is None:
            return replace(held, dictionaries=spec.dictionaries)
        if not extend:
            raise InvalidInputError(f"{difference}; expected the same spec, or --extend to add to that sweep")
        return held._extended(spec, over_budget)

    @classmethod
    def open(cls, directory: str | Path) -> "SweepStore":
        """The store in ``directory``, of any version; `ResultFileError` if there is none or its manifest is damaged."""
        files = SweepFiles(directory)
        if not files.manifest.exists():
            raise ResultFileError(f"{directory} has no {files.manifest.name}; expected the directory of a sweep")
        record = read_json(files.manifest)
        try:
            found = record["format"]
            if found != _FORMAT:
                raise ResultFileError(f"{directory} has format {found}; expected {_FORMAT}")
            specs = tuple(replace(load_spec(content), source=str(directory)) for content in record["specs"])
            if not specs:
                raise ValueError("no spec")
            sizes = int(record["shard_points"]), int(record["shard_trajectories"])
            if min(sizes) < 1:
                raise ValueError(f"shards of {sizes[0]} points and {sizes[1]} trajectories")
            return cls(files, specs, *sizes, record["fastpatch"], dict(record["digests"]))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ResultFileError(
                f"{files.manifest} is damaged ({reason(error)}); expected a sweep's manifest"
            ) from None

    def _extended(self, spec: Spec, over_budget: bool) -> "SweepStore":
        """The plan with the points of ``spec`` that it lacks."""
        for name in ("seed", "records", "shells"):
            if getattr(spec, name) != getattr(self.specs[-1], name):
                raise InvalidInputError(f"{spec.difference(self.specs[-1])}; expected an extension only to add points")
        wanted = {point.id: point for point in points_of(spec)}
        for point in self.points:
            if point.id not in wanted:
                raise InvalidInputError(
                    f"{spec.source} leaves out the point with {point.describe()} of "
                    f"{self.files.directory}; expected an extension only to add points"
                )
            del wanted[point.id]
        _require_possible(list(wanted.values()), spec, over_budget)
        return replace(self, specs=(*self.specs, spec), digests={}, dictionaries=spec.dictionaries)

    @property
    def spec(self) -> Spec:
        """The spec whose points are those of the store."""
        return self.specs[-1]

    @cached_property
    def points(self) -> Sequence[Point]:
        """All points, in the order of the store: an extension's new ones follow those before it.

        They take patterns of one's own from the store's copy.
        """
        found = {point.id: point for spec in self.specs for point in points_of(spec)}.values()
        return [
            replace(point, patterns=self.files.dictionary(own)) if (own := point.parameters.dictionary) else point
            for point in found
        ]

    @cached_property
    def shards(self) -> Sequence[Shard]:
        """The points cut into shards; the last one may be shorter."""
        ids, size = [point.id for point in self.points], self.shard_points
        return [Shard(k, k * size, tuple(ids[k * size : (k + 1) * size])) for k in range(-(-len(ids) // size))]

    def write(self) -> "SweepStore":
        """Write manifest, metadata, coordinates and dictionaries where they are missing, damaged or out of date."""
        written = self if self.digests and self.files.sound(self.digests) else self._written()
        for own, source in self.dictionaries.items():
            keep_dictionary(source, self.files.dictionary(own), own)
        return written

    def _written(self) -> "SweepStore":
        content = self._content()
        written = replace(self, digests={path: digest(data) for path, data in content.items()})
        # First: if all stops here, the next one finds that the others do not agree with it.
        write_json(
            self.files.manifest,
            {
                "format": _FORMAT,
                "fastpatch": self.version,
                "specs": [{"title": spec.title, **spec.canonical()} for spec in self.specs],
                "shard_points": self.shard_points,
                "shard_trajectories": self.shard_trajectories,
                "digests": written.digests,
            },
        )
        for path, data in content.items():
            target = self.files.store / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if not self.files.sound({path: written.digests[path]}):
                write(target, data)
        return written

    def _content(self) -> dict[str, bytes]:
        from .layout import Layout

        layout = Layout(
            recording=self.spec.recording,
            points=len(self.points),
            trajectories=max(point.parameters.trajectories for point in self.points),
            shard_points=self.shard_points,
            shard_trajectories=self.shard_trajectories,
        )
        attributes: dict[str, Any] = {"title": self.spec.title, "spec": json.dumps(self.spec.canonical())}
        return layout.files(self.points, {**attributes, "fastpatch": self.version})


def _require_possible(points: Sequence[Point], spec: Spec, over_budget: bool) -> None:
    """Raise `InvalidInputError` if the points cost more than they may, or one of them cannot be run."""
    cost = sum(point.site_steps for point in points)
    if cost > spec.budget and not over_budget:
        raise InvalidInputError(
            f"{spec.source} asks for {cost:.3g} site-steps in {len(points)} points, beyond its budget of "
            f"{spec.budget:.3g}; expected a smaller design, a larger budget, or --yes"
        )
    for point in points:
        point.check()
