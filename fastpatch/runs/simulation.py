"""`simulate`: a batch of reverse trajectories with its observables, as a labelled dataset (paper Sec. 6, App. C)."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BackendUnavailableError, InvalidInputError
from ..models.base import Model
from ..progress import progress_bar
from ..results import open_text
from .backends import Backend
from .checkpoint import RunCheckpoint, interruptible
from .compilation import announced, compile_run
from .dataset import labelled, provenance_of
from .engines.base import Engine
from .engines.choice import engine_of
from .engines.patch import PatchEngine
from .observables import Observable, ObservableName
from .pacing import paced
from .record_buffer import RecordBuffer
from .recording import Recording
from .setup import Setup
from .solvers import Solver, SolverName

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["simulate"]


def simulate(
    model: Model,
    shape: tuple[int, int] | int = (80, 80),
    trajectories: int = 4,
    times: ArrayLike | None = None,
    seed: int = 0,
    *,
    solver: SolverName | Solver = "euler-maruyama",
    observables: Sequence[ObservableName | Callable[[NDArray[Any], float], ArrayLike] | Observable] | None = None,
    backend: Backend = "auto",
    dtype: Any = "float32",
    record_every: int = 1,
    snapshots: int | ArrayLike = 5,
    checkpoint: str | Path | None = None,
    progress: bool = False,
    shells: Any = range(7),
    diagonal: bool = False,
    first_trajectory: int = 0,
    chunks: int | Sequence[int] | None = None,
    exchange_every: int | None = None,
    scratch: str | Path | None = None,
) -> "xr.Dataset":
    """Run a batch of reverse trajectories (eqs. 40-42) and record observables on the way.

    Parameters
    ----------
    model
        A `PatchModel` (fused kernels), or anything with ``schedule``, ``score`` and ``drift``, see
        `PosteriorMeanModel`. A model without exact ``mode_derivatives`` is measured by the paper's central differences.
    shape
        Lattice sides (L1, L2), or L for a square.
    trajectories
        Number of independent trajectories T.
    times
        Strictly decreasing grid of diffusion times; `log_time_grid()` by default. Steps are explicit: that
        ``|dt| / sigma^2(t)`` stays well below 1 is not checked.
    seed
        In [0, 2^64). The states depend on the seed, the trajectory number, the grid and the precision alone: not on
        threads or on how trajectories are grouped into calls, and for a `PatchModel` of moderate size not on the CPU.
    solver
        "euler-maruyama", the paper's; "ancestral", which is exact while the posterior mean stays as it is and stable
        where it is bounded (of networks that predict the noise it is not, at large t); "heun", the probability-flow
        ODE, whose marginals are those of the SDE for an exact score; or an object with ``name`` and ``step``
        (`fastpatch.runs.solvers.Solver`). Recorded derivatives are those of the reverse SDE's drift with any of them.
    observables
        What to record: names ("xi_x", "mode_derivative", "xi_eq", "magnetization", which are the default,
        "structure_factor", "order_parameter_moments", "domain_wall_density"), functions ``f(x, t)`` of states
        (T, L1, L2), which is read-only and valid during the call only (copy to keep), to numbers (T,), and `Observable`
        for others. One that fails at the first time raises; one that fails later warns once (`ObservableWarning`) and
        is NaN from there on.
    backend
        "auto", which is the CPU, "cpu", "cuda", a `PatchModel` on an NVIDIA GPU, or "dask", a `PatchModel` on a lattice
        in chunks, see the notes. The states of one step agree between CPU and GPU to rounding, between "cpu" and
        "dask" bit for bit.
    dtype
        "float32" or "float64", of the states. Derivatives are sums in float64 of quantities in this precision.
    record_every
        Observables are taken at grid indices 0, record_every, 2 record_every, … and at the last.
    snapshots
        Fields to keep: a number of them from first to last, evenly spaced in alpha(t), so that they show the pattern
        as it forms (0 for none, all where there are fewer times), or a sequence of times, each moved to the nearest
        grid time in log t.
    checkpoint
        A file that holds the run so far, states and records: written now and then and on Ctrl-C, and read by the same
        call, which goes on from it, equal bit for bit to an undisturbed run. It is left where it is at the end. Models
        and functions that were edited since are refused.
    progress
        Show a progress bar on standard error.
    shells, diagonal
        Modes whose derivatives are taken; shells 0, 1, 2 and 3 must be among them. With ``diagonal``, also
        cos(n k_min (x + y)) (square lattices only).
    first_trajectory
        Number of the first trajectory: ``simulate(trajectories=2, first_trajectory=2)`` gives trajectories 2 and 3
        of a larger run.
    chunks, exchange_every, scratch
        For "dask" alone: sides of the chunks in sites, one or two (by default at most 16 MiB a chunk, and one a worker
        at least); steps between two exchanges of halos (by default 16, or what keeps the halo below an eighth of a
        chunk); a directory, which all workers see, for states on their way and for the fields that are returned (by
        default a temporary one, which lasts as long as these do).

    Returns
    -------
    xarray.Dataset
        ``xi_x`` (trajectory, time): first-moment correlation length of sign(x), in sites (eq. 45).
        ``mode_derivative`` (trajectory, time, shell, direction): lambda, per unit diffusion time.
        ``xi_eq`` (trajectory, time): equilibrium length, in sites (eq. 51), from the mean of the two axis directions;
        NaN where it is undefined.
        ``magnetization`` (trajectory, time): spatial mean of x.
        ``snapshot`` (trajectory, snapshot_time, y, x), ``final`` (trajectory, y, x): fields.
        The other observables (trajectory, time, ...), under their names.
        The arrays that define the model. ``attrs``: ``provenance``, JSON of all parameters, versions and the machine;
        ``k_min``, the wave number of the fit; ``critical_time``, the model's predicted one where it has one.

    Raises
    ------
    InvalidInputError, DtypeError
        For any argument outside what is stated above, a first Euler-Maruyama step that is unstable (with the number of
        steps that would do), an observable that fails at the first time, a checkpoint of another run, or a run in
        one piece that exceeds the free memory.
    ResultFileError, OutputError
        For a checkpoint that is damaged or cannot be written.
    BackendUnavailableError
        For a backend that this machine cannot run.

    Notes
    -----
    The first run of an installation compiles the kernels, about 10 s, and later ones find them on the disk. Any number
    of threads and processes, forked ones too, may call at once.

    With "dask" no process holds a whole field: ``snapshot`` and ``final`` are Dask arrays that read from ``scratch``,
    to be sliced, written with ``dataset.to_zarr`` or, where they fit, loaded. The tasks run on the workers of the
    current Dask client, single-threaded processes (``LocalCluster(threads_per_worker=1)``, ``dask worker --nthreads
    1``), and what a worker holds of the lattice is spilled to its disk near its memory limit; without a client they run
    in this process one by one, with the lattice on disk. ``xi_x`` is exact, and derivatives and magnetization are sums
    over chunks: they agree with those of "cpu" to rounding and do not depend on the workers.
    """
    setup = Setup.of(
        model, shape, trajectories, times, seed, solver=solver, backend=backend, dtype=dtype,
        first_trajectory=first_trajectory, shells=shells, diagonal=diagonal,
    )  # fmt: skip
    recording = Recording.of(setup, observables, record_every, snapshots)
    identity = json.loads(setup.identity)
    # Engines measure the derivatives along the modes that they are given.
    moved = setup if recording.derivatives else replace(setup, shells=np.empty(0, dtype=np.int64))
    about: dict[str, Any] = {"record_every": recording.every, "backend": setup.backend}
    saved = file = None
    if setup.backend == "dask":
        if checkpoint is not None:
            raise BackendUnavailableError(
                "backend 'dask' keeps its states in scratch and writes no checkpoint; expected checkpoint=None"
            )
    else:
        for name, value in (("chunks", chunks), ("exchange_every", exchange_every), ("scratch", scratch)):
            if value is not None:
                raise InvalidInputError(f"{name} is {value!r} for backend {backend!r}; expected it for 'dask' alone")
        setup.require_memory(snapshots=len(recording.kept), records=len(recording.steps))
    if checkpoint is not None:
        whole = identity | recording.identity(setup)
        file = RunCheckpoint(Path(checkpoint), json.dumps(whole, sort_keys=True))
        saved = file.load()
    engine: Engine
    if setup.backend == "dask":
        from .chunks.engine import ChunkedPatchEngine

        engine = ChunkedPatchEngine(moved, recording.kept, chunks, exchange_every, scratch)
        about |= {"chunks": engine.layout.sides, "exchange_every": engine.layout.exchange_every}
    elif saved is None:
        engine = engine_of(moved, setup.initial())
    else:
        engine = engine_of(moved, saved[1]["x"], saved[0])
    buffer = RecordBuffer(setup, recording, engine)
    if saved is not None:
        buffer.restore(saved[1])

    def save() -> None:
        if file is not None:
            file.save(engine.step, {"x": engine.x, **buffer.saved()})

    if progress and isinstance(engine, PatchEngine):
        with announced(sys.stderr):
            compile_run(setup.dtype)
    with (
        progress_bar(total=setup.last, initial=engine.step, unit="step", show=progress, leave=False) as bar,
        interruptible(wait=file is not None) as interrupted,
    ):
        for window in paced(engine.step, setup.last, engine.least_steps):
            buffer.run_through(window)
            bar.update(len(window))
            if interrupted.is_set():
                save()
                raise KeyboardInterrupt
            if file is not None and file.is_due():
                save()
    buffer.finish()
    if file is not None and (saved is None or saved[0] < setup.last):
        save()
    provenance = provenance_of(identity, **about)
    return open_text(labelled(setup, recording, buffer.arrays, buffer.snapshots, engine.x, provenance))
