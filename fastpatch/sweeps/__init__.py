"""Sweeps: many runs of the patch machine over a design of parameters, on Dask, into one Zarr store.

`sweep` computes what is missing and `open_sweep` opens what is there; the rest is what they are made of. The names load
on first use; running and opening sweeps needs ``pip install fastpatch[sweep]``, reading a spec does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .point import Parameters, Point
    from .reading import open_sweep, point_result
    from .ready import READY
    from .run import sweep
    from .spec import Range, Spec
    from .store import SweepStore

_HOME = {
    "READY": "ready",
    "Parameters": "point",
    "Point": "point",
    "Range": "spec",
    "Spec": "spec",
    "SweepStore": "store",
    "open_sweep": "reading",
    "point_result": "reading",
    "sweep": "run",
}

__all__ = ["READY", "Parameters", "Point", "Range", "Spec", "SweepStore", "open_sweep", "point_result", "sweep"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
