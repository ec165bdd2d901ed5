"""Result files: one labelled dataset in one NetCDF file, complete or absent."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .atomic import atomic_path
from .errors import InvalidInputError, ResultFileError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["load", "provenance", "save"]


def save(dataset: "xr.Dataset", path: str | Path) -> None:
    """Write a result as NetCDF-4 (HDF5), replacing ``path`` only when the file is complete.

    Raises `InvalidInputError` for a dataset without provenance, which `load` would refuse: one derived from a result
    keeps it with ``dataset.attrs = result.attrs``. Raises `OutputError` where the path cannot be written or the disk is
    full.
    """
    try:
        provenance(dataset)
    except ResultFileError as error:
        raise InvalidInputError(str(error)) from None
    # Encoded in memory: HDF5 cannot recover from a write that fails, an ordinary file can.
    content = dataset.to_netcdf(engine="h5netcdf", format="NETCDF4")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def load(path: str | Path) -> "xr.Dataset":
    """Read a result into memory.

    Raises `ResultFileError` if the file is missing, truncated, or not one that `save` wrote.
    """
    import xarray as xr

    if not Path(path).is_file():
        raise ResultFileError(f"{path} is not a file; expected a result written by fastpatch")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            dataset = opened.load()
    # The HDF5 stack raises whatever layer met the damage first.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResultFileError(
            f"{path} is truncated or not a NetCDF file ({reason}); expected a fastpatch result"
        ) from None
    provenance(dataset, path)
    return dataset


def provenance(dataset: "xr.Dataset", path: str | Path = "the dataset") -> dict[str, Any]:
    """The provenance record of a result; `ResultFileError` if it has none."""
    try:
        record = json.loads(dataset.attrs["provenance"])
    except (KeyError, TypeError, ValueError):
        record = None
    if not isinstance(record, dict) or "run" not in record:
        raise ResultFileError(f"{path} carries no provenance; expected a result written by fastpatch")
    return record
