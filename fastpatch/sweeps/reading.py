"""Opening the results of a sweep."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidInputError, ResultFileError
from ..memory import require_memory
from ..messages import reason
from ..results import open_text
from ..validation import integer
from .shards import listed_points
from .store import SweepStore

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["open_sweep", "point_result"]


# Coordinates that are as long as results are.
_LAZY = ("provenance", "step", "time")


def open_sweep(out: str | Path) -> "xr.Dataset":
    """The results of the sweep in the directory ``out``, finished or not, as one lazy dataset.

    Returns
    -------
    xarray.Dataset
        ``xi_x``, ``xi_eq``, ``magnetization`` (point, trajectory, record) and ``mode_derivative`` (point, trajectory,
        record, shell, direction), as `fastpatch.simulate` has them, as Dask arrays of one chunk a shard; NaN where a
        point has fewer trajectories or records, and throughout in points that are not there yet.
        Coordinates along ``point``: every one of `Parameters` that means something (``shape`` as text, 80x80),
        ``sites``, ``replica``, ``seed``, ``id``, ``finished``, and ``provenance`` (JSON; empty in unfinished points).
        ``time`` and ``step`` (point, record) are the times of the records and their indices into the grid, NaN and -1
        beyond the last.

    Raises
    ------
    ResultFileError
        If there is no sweep in ``out``, or its manifest or metadata are damaged: `sweep` repairs those. Results are
        not compared with their digests; `sweep` does that, too.
    """
    import xarray as xr

    store = SweepStore.open(out)
    try:
        # Version 3: in version 2, a store names the code that decodes it.
        stored = xr.open_zarr(store.files.store, consolidated=True, chunks=None, zarr_format=3)
        require_memory(sum(stored[name].nbytes for name in stored.coords if name not in _LAZY), "its coordinates take")
        small = {name: _small(stored[name]) for name in stored.coords if name not in _LAZY}
        dataset = stored.chunk(point=store.shard_points).assign_coords(small)
    # Each layer of Zarr raises errors of its own for what it cannot read.
    except Exception as error:
        raise ResultFileError(f"{store.files.store} is damaged ({reason(error)}); expected a sweep's store") from None
    finished = np.concatenate([np.arange(len(s.ids)) < len(listed_points(store.files, s)) for s in store.shards])
    return open_text(dataset.assign_coords(finished=("point", finished)))


def _small(coordinate: "xr.DataArray") -> tuple[Any, Any, Any]:
    """A coordinate in memory, text of fixed width, which all of xarray can work with."""
    values = coordinate.to_numpy()
    return coordinate.dims, np.array(values.tolist()) if values.dtype.kind == "T" else values, coordinate.attrs


def point_result(dataset: "xr.Dataset", index: int) -> "xr.Dataset":
    """One point of an opened sweep as `fastpatch.simulate` gives it, in memory: its trajectories by its own times.

    ``attrs`` hold the point's provenance. Fields are not kept by sweeps; `Point.simulate` makes them anew.
    Raises `InvalidInputError` for an index outside the dataset or a point that is not finished.
    """
    at = integer(index, "index", minimum=0, maximum=dataset.sizes["point"] - 1)
    point = dataset.isel(point=at).load()
    records = np.count_nonzero(point["step"] >= 0)
    if records == 0:
        raise InvalidInputError(f"point {at} is not finished; expected one that is")
    kept = point.isel(trajectory=slice(int(point["trajectories"])), record=slice(records)).swap_dims(record="time")
    return kept.drop_vars(["provenance", "finished"]).assign_attrs(provenance=point["provenance"].item())
