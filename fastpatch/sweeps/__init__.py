"""Sweeps: many runs of the patch machine over a design of parameters, on Dask, into one Zarr store.

`sweep` computes what is missing and `open_sweep` opens what is there; the rest is what they are made of. The names load
on first use; running and opening sweeps needs ``pip install "fastpatch[sweep]"``, reading a spec does not.
"""

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .point import Parameters, Point
    from .reading import open_sweep, point_result
    from .run import sweep
    from .spec import Range, Spec
    from .spec_file import READY, load_spec
    from .store import SweepStore

_HOME = {
    "READY": "spec_file",
    "Parameters": "point",
    "Point": "point",
    "Range": "spec",
    "Spec": "spec",
    "SweepStore": "store",
    "load_spec": "spec_file",
    "open_sweep": "reading",
    "point_result": "reading",
    "sweep": "run",
}

__all__ = [
    "READY",
    "Parameters",
    "Point",
    "Range",
    "Spec",
    "SweepStore",
    "load_spec",
    "open_sweep",
    "point_result",
    "sweep",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
