"""The Zarr store of a sweep as files: metadata and coordinates, which the points determine, and shards of results.

A shard is the part of every variable that belongs to some consecutive points, one file a variable; it is made of chunks
of fewer points, so that a point can be read without the rest. Files are encoded in memory, so that they can be written
whole or not at all. Until a shard is complete, each of its points has a file of its own.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.buffer import Buffer
from zarr.buffer import cpu
from zarr.storage import MemoryStore

from ..atomic import atomic_path
from ..npz_file import read_npz
from ..runs.dataset import DIRECTIONS, LABELS
from .point import Parameters, Point, Recording
from .shards import power_of_two

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["VARIABLES", "Layout", "Variable", "encode_rows", "read_staged", "write_staged"]

_STRING = np.dtypes.StringDType()

# Of a chunk, before compression.
_CHUNK_BYTES = 2**20

# Shards in the folder of their array, without folders of their own.
_FLAT: Any = {"name": "default", "separator": "."}


@dataclass(frozen=True)
class Variable:
    """A variable of the results: its axes beside ``point``, and what stands where a point has no value."""

    axes: tuple[str, ...]
    fill: float | int | str
    is_coordinate: bool = False

    @property
    def dtype(self) -> Any:
        """What Zarr calls it."""
        return {float: "float64", int: "int64", str: "string"}[type(self.fill)]


_CURVE = Variable(("trajectory", "record"), np.nan)
VARIABLES: Mapping[str, Variable] = {
    "xi_x": _CURVE,
    "mode_derivative": Variable(("trajectory", "record", "shell", "direction"), np.nan),
    "xi_eq": _CURVE,
    "magnetization": _CURVE,
    "time": Variable(("record",), np.nan, is_coordinate=True),
    "step": Variable(("record",), -1, is_coordinate=True),
    "provenance": Variable((), "", is_coordinate=True),
}


@dataclass(frozen=True)
class Layout:
    """The sizes of a store's axes, and how many points and trajectories are in a shard."""

    recording: Recording
    points: int
    trajectories: int
    shard_points: int
    shard_trajectories: int

    @property
    def sizes(self) -> dict[str, int]:
        return {
            "trajectory": self.trajectories,
            "record": self.recording.records + 1,
            "shell": self.recording.shells + 1,
            "direction": 2,
        }

    def files(self, points: Sequence[Point], attributes: Mapping[str, Any]) -> dict[str, bytes]:
        """Every file but the shards, by its path in the store: consolidated metadata, and all coordinates."""
        content: dict[str, Buffer] = {}
        store = MemoryStore(content)
        coordinates = _coordinates(points)
        auxiliary = [*coordinates, *(name for name, variable in VARIABLES.items() if variable.is_coordinate)]
        group = zarr.create_group(store, zarr_format=3, attributes={**attributes, "coordinates": " ".join(auxiliary)})
        for name, variable in VARIABLES.items():
            shard = {**self.sizes, "trajectory": self.shard_trajectories}
            inner = [shard[axis] for axis in variable.axes]
            chunk_points = power_of_two(_CHUNK_BYTES // (8 * math.prod(inner)))
            group.create_array(
                name,
                shape=(self.points, *(self.sizes[axis] for axis in variable.axes)),
                shards=(self.shard_points, *inner),
                chunks=(min(chunk_points, self.shard_points), *inner),
                dtype=variable.dtype,
                fill_value=variable.fill,
                chunk_key_encoding=_FLAT,
                dimension_names=("point", *variable.axes),
                attributes=dict(LABELS.get(name, {})),
            )
        axes = {
            "trajectory": np.arange(self.sizes["trajectory"]),
            "shell": np.arange(self.sizes["shell"]),
            "direction": np.array(DIRECTIONS[: self.sizes["direction"]], dtype=_STRING),
        }
        for name, values in {**coordinates, **axes}.items():
            group.create_array(
                name,
                data=values,
                chunks=values.shape,
                chunk_key_encoding=_FLAT,
                dimension_names=("point" if name in coordinates else name,),
                attributes=dict(LABELS.get(name, {})),
            )
        with warnings.catch_warnings():
            # They are not in the specification of Zarr 3 yet; every array also opens without them.
            warnings.filterwarnings("ignore", "Consolidated metadata", zarr.errors.ZarrUserWarning)
            zarr.consolidate_metadata(store)
        return {path: buffer.to_bytes() for path, buffer in content.items()}


def _coordinates(points: Sequence[Point]) -> dict[str, NDArray[Any]]:
    """What tells the points apart, each (points,)."""
    found: dict[str, NDArray[Any]] = {}
    labels = [point.parameters.labels() for point in points]
    kinds = {field.name: field.type for field in fields(Parameters)} | {"sites": int}
    # A sweep's points all have patterns of their own, or none has.
    for name in labels[0]:
        kind: Any = kinds[name] if kinds[name] in (int, float, bool) else _STRING
        found[name] = np.array([label[name] for label in labels], dtype=kind)
    found["replica"] = np.array([point.replica for point in points])
    found["seed"] = np.array([point.seed for point in points], dtype=np.uint64)
    found["id"] = np.array([point.id for point in points], dtype=_STRING)
    return found


def encode_rows(metadata: bytes, first: int, rows: Sequence[NDArray[Any]]) -> dict[str, bytes]:
    """The files, by their path below the array's, that hold ``rows`` from point ``first`` on.

    ``metadata`` is the array's ``zarr.json``. A row may be shorter than the array along any axis.
    """
    content: dict[str, Buffer] = {"zarr.json": cpu.Buffer.from_bytes(metadata)}
    array = zarr.open_array(MemoryStore(content), mode="r+", zarr_format=3)
    block = np.full((len(rows), *array.shape[1:]), array.fill_value, dtype=array.dtype)
    for index, row in enumerate(rows):
        part: tuple[Any, ...] = (index, *(slice(size) for size in row.shape))
        block[part] = row
    array[first : first + len(rows)] = block
    return {path: buffer.to_bytes() for path, buffer in content.items() if path != "zarr.json"}


def write_staged(path: Path, result: "xr.Dataset") -> None:
    """Write what a sweep keeps of the result of one point; `OutputError` where that fails."""
    arrays = {name: result[name].to_numpy() for name in VARIABLES if name in result.variables}
    with atomic_path(path, follow_links=False) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays, provenance=result.attrs["provenance"])


def read_staged(path: Path) -> dict[str, NDArray[Any]] | None:
    """The variables of a staged point; None if the file is missing or damaged. Nothing in it is unpickled."""
    try:
        return read_npz(path, VARIABLES)
    except ValueError:
        return None
