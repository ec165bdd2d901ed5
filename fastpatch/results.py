"""Result files: one labelled dataset in one NetCDF file, complete or absent."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .atomic import atomic_path
from .digests import append_digest, check_digest
from .errors import FastpatchError, InvalidInputError, ResultFileError
from .memory import require_memory
from .messages import reason

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["load", "open_text", "provenance", "save", "title_of"]


def save(dataset: "xr.Dataset", path: str | Path) -> None:
    """Write a result as NetCDF-4 (HDF5), replacing ``path`` only when the file is complete.

    Raises `InvalidInputError` for a dataset without provenance, which `load` would refuse: one derived from a result
    keeps it with ``dataset.attrs = result.attrs``, or one that NetCDF cannot hold. Booleans among the attributes become
    0 and 1. Raises `OutputError` where the path cannot be written or the disk is full.
    """
    try:
        provenance(dataset)
    except ResultFileError as error:
        raise InvalidInputError(str(error)) from None
    # Encoded in memory: HDF5 cannot recover from a write that fails, an ordinary file can.
    try:
        content = _storable(dataset).to_netcdf(engine="h5netcdf", format="NETCDF4")
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InvalidInputError(
            f"the dataset holds what NetCDF cannot ({reason(error)}); expected numbers, text and arrays of them"
        ) from None
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
        append_digest(temporary)


def load(path: str | Path) -> "xr.Dataset":
    """Read a result into memory: NetCDF-4 as `save` writes it, or converted to NetCDF-3 by other programs.

    Raises `ResultFileError` if the file is missing, truncated, damaged, not one that `save` wrote, larger than the
    memory, or leads to other files. A file without a digest, as other programs write them, is accepted.
    """
    import xarray as xr

    source = Path(path)
    if not source.is_file():
        raise ResultFileError(f"{path} is not a file; expected a result written by fastpatch")
    try:
        check_digest(source)
        with source.open("rb") as file:
            is_classic = file.read(4) in (b"CDF\x01", b"CDF\x02")
        if not is_classic:
            _check_layout(source)
        with xr.open_dataset(path, engine="scipy" if is_classic else "h5netcdf") as opened:
            dataset = opened.load()
    except FastpatchError as error:
        raise ResultFileError(str(error)) from None
    # The HDF5 stack raises whatever layer met the damage first.
    except Exception as error:
        raise ResultFileError(
            f"{path} is truncated or not a NetCDF file ({reason(error)}); expected a fastpatch result"
        ) from None
    provenance(dataset, path)
    return open_text(dataset)


def open_text(dataset: "xr.Dataset") -> "xr.Dataset":
    """The same dataset, whose text xarray will write to Zarr as strings: text of fixed width is in no specification."""
    for variable in dataset.variables.values():
        if variable.dtype.kind == "U":
            variable.encoding["dtype"] = object
    return dataset


def _storable(dataset: "xr.Dataset") -> "xr.Dataset":
    """A copy without what NetCDF has not: booleans among the attributes, and fill values of coordinates."""
    copy = dataset.copy()
    for name, variable in copy.variables.items():
        variable.attrs = _without_booleans(variable.attrs)
        if "_FillValue" in variable.attrs:
            variable.encoding["_FillValue"] = variable.attrs.pop("_FillValue")
        if name in copy.coords:
            variable.encoding["_FillValue"] = None
    copy.attrs = _without_booleans(copy.attrs)
    return copy


def _without_booleans(attributes: Mapping[Any, Any]) -> dict[Any, Any]:
    def number(value: Any) -> Any:
        if isinstance(value, bool | np.bool_ | np.ndarray | list | tuple):
            array = np.asarray(value)
            return array.astype(np.int8) if array.dtype == bool else value
        return value

    return {name: number(value) for name, value in attributes.items()}


def _check_layout(path: Path) -> None:
    """Raise for an HDF5 file that refers to others, from which reading it would take data, or exceeds the memory."""
    import h5py

    size = 0
    with h5py.File(path, "r") as file:
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise ResultFileError(f"{path} holds {name!r}, a link; expected a result without links")
            entry = file[name]
            if isinstance(entry, h5py.Group):
                raise ResultFileError(f"{path} holds the group {name!r}; expected a result, which has none")
            if isinstance(entry, h5py.Dataset) and (entry.external or entry.is_virtual):
                raise ResultFileError(f"{path} keeps {name!r} in another file; expected a result in one file")
            size += getattr(entry, "nbytes", 0)
    require_memory(size, f"{path} takes")


def provenance(dataset: "xr.Dataset", path: str | Path = "the dataset") -> dict[str, Any]:
    """The provenance record of a result; `ResultFileError` if it has none."""
    try:
        record = json.loads(dataset.attrs["provenance"])
    except (KeyError, TypeError, ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or "run" not in record:
        raise ResultFileError(f"{path} carries no provenance; expected a result written by fastpatch")
    return record


def title_of(dataset: "xr.Dataset") -> str | None:
    """What a result is of: its attribute ``title``, else in the words of its provenance; None where it says neither."""
    if "title" in dataset.attrs:
        return str(dataset.attrs["title"])
    try:
        run = provenance(dataset)["run"]
        model, shape = run["model"], run["shape"]
        words = {
            "PatchModel": "Patch model, {patterns} patterns of {size}×{size}",
            "EmpiricalModel": "Empirical score of {prototypes[0]} patterns",
            "GaussianModel": "Gaussian field",
            "UNetModel": "U-Net, {variant} Fashion-MNIST, {epochs} epochs of training",
        }[model["type"]].format(**model)
        return f"{words} on {shape[0]}×{shape[1]} sites"
    except (ResultFileError, IndexError, KeyError, TypeError):
        return None
