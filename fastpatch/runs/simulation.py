"""`simulate`: a batch of reverse trajectories with its observables, as a labelled dataset (paper Sec. 6, App. C)."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BackendUnavailableError, InvalidInputError
from ..kernels.ahead import announced, compile_run
from ..memory import require_memory, run_memory
from ..models.base import Model
from ..progress import progress_bar
from ..results import open_text
from ..validation import integer, shell_numbers
from .engines.base import Engine
from .engines.choice import integrator
from .engines.flow import FlowEngine
from .engines.patch import PatchEngine
from .pacing import paced
from .recorder import FITTED_SHELLS, Recorder
from .setup import Run

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Dynamics", "simulate"]

Dynamics = Literal["sde", "ode"]


def simulate(
    model: Model,
    shape: tuple[int, int] = (80, 80),
    trajectories: int = 4,
    times: ArrayLike | None = None,
    seed: int = 0,
    backend: str = "auto",
    dtype: Any = "float32",
    record_every: int = 1,
    snapshots: int | ArrayLike = 5,
    progress: bool = False,
    *,
    shells: Any = range(7),
    diagonal: bool = False,
    first_trajectory: int = 0,
    dynamics: Dynamics = "sde",
    chunks: int | Sequence[int] | None = None,
    exchange_every: int | None = None,
    scratch: str | Path | None = None,
) -> "xr.Dataset":
    """Integrate the reverse SDE by Euler-Maruyama (eqs. 40-42) and record its observables on the way.

    Parameters
    ----------
    model
        A `PatchModel` (fused kernels), or anything with ``schedule``, ``score`` and ``drift``. A model without exact
        ``mode_derivatives`` is measured by the paper's central differences.
    shape
        Lattice sides (L1, L2).
    trajectories
        Number of independent trajectories T.
    times
        Strictly decreasing grid of diffusion times; `log_time_grid()` by default. Steps are explicit: that
        ``|dt| / sigma^2(t)`` stays well below 1 is not checked.
    seed
        In [0, 2^64). The states depend on the seed, the trajectory number, the grid and the precision alone: not on
        threads or on how trajectories are grouped into calls, and for a `PatchModel` of moderate size not on the CPU.
    backend
        "auto", which is the CPU, "cpu", "cuda", a `PatchModel` on an NVIDIA GPU, or "dask", a `PatchModel` on a lattice
        in chunks, see the notes. The states of one step agree between CPU and GPU to rounding, between "cpu" and
        "dask" bit for bit.
    dtype
        "float32" or "float64", of the states. Derivatives are sums in float64 of quantities in this precision.
    record_every
        Observables are taken at grid indices 0, record_every, 2 record_every, … and at the last.
    snapshots
        Fields to keep: a number of grid indices evenly spaced from first to last (log-spaced times on the default
        grid; 0 for none, all where there are fewer), or a sequence of times, each moved to the nearest grid time in
        log t.
    progress
        Show a progress bar on standard error.
    shells, diagonal
        Modes whose derivatives are taken; shells 0, 1, 2 and 3 must be among them. With ``diagonal``, also
        cos(n k_min (x + y)) (square lattices only).
    first_trajectory
        Number of the first trajectory: ``simulate(trajectories=2, first_trajectory=2)`` gives trajectories 2 and 3
        of a larger run.
    dynamics
        "sde", or "ode": the probability-flow ODE by Heun's method, whose marginals are those of the SDE for an exact
        score. Its derivatives are nevertheless those of the SDE's drift.
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
        The arrays that define the model. ``attrs``: ``provenance``, JSON of all parameters, versions and the machine;
        ``k_min``, the wave number of the fit; ``critical_time``, the model's predicted one where it has one.

    Raises
    ------
    InvalidInputError, DtypeError
        For any argument outside what is stated above, and for a run in one piece that exceeds the free memory.
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
    run = Run.of(model, shape, trajectories, times, seed, backend, dtype, first_trajectory)
    numbers = shell_numbers(shells)
    missing = [n for n in (0, *FITTED_SHELLS) if n not in numbers]
    if missing:
        raise InvalidInputError(f"shells is {numbers.tolist()}; expected 0, 1, 2 and 3 among them")
    if diagonal and run.shape[0] != run.shape[1]:
        raise InvalidInputError(f"shape is {run.shape}; expected a square lattice for diagonal modes")
    if dynamics not in get_args(Dynamics):
        raise InvalidInputError(f"dynamics is {dynamics!r}; expected 'sde' or 'ode'")
    if dynamics == "ode" and run.backend == "cuda":
        raise BackendUnavailableError("backend 'cuda' has no kernels for dynamics 'ode'; expected backend='cpu'")
    if run.backend != "dask":
        for name, value in (("chunks", chunks), ("exchange_every", exchange_every), ("scratch", scratch)):
            if value is not None:
                raise InvalidInputError(f"{name} is {value!r} for backend {backend!r}; expected it for 'dask' alone")
    elif dynamics == "ode":
        raise BackendUnavailableError("backend 'dask' has no kernels for dynamics 'ode'; expected backend='cpu'")
    interval = integer(record_every, "record_every", minimum=1)
    kept = _snapshot_steps(snapshots, run.times)
    last = len(run.times) - 1
    recorded = [*range(0, last, interval), last]
    if run.backend != "dask":
        counts = {"snapshots": len(kept), "records": len(recorded), "shells": len(numbers)}
        needed = run_memory(run.shape, run.trajectories, run.dtype.itemsize, **counts)
        sides = "×".join(map(str, run.shape))
        require_memory(needed, f"the run of {run.trajectories} trajectories on {sides} sites takes")
    engine: Engine
    recording = {"record_every": interval, "backend": run.backend, "dynamics": dynamics}
    if run.backend == "dask":
        from .chunks.engine import ChunkedPatchEngine

        engine = ChunkedPatchEngine(run, numbers, diagonal, kept, chunks, exchange_every, scratch)
        recording |= {"chunks": engine.layout.sides, "exchange_every": engine.layout.exchange_every}
    elif dynamics == "sde":
        engine = integrator(
            model, run.initial(), run.times, step=0, seed=run.seed, first_trajectory=run.first_trajectory,
            shells=numbers, diagonal=diagonal, backend=run.backend,
        )  # fmt: skip
    else:
        engine = FlowEngine(model, run.initial(), run.times, 0, run.seed, run.first_trajectory, numbers, diagonal)
    recorder = Recorder(run, engine, recorded, kept, numbers, diagonal)
    if progress and isinstance(engine, PatchEngine):
        with announced(sys.stderr):
            compile_run(run.dtype)
    with progress_bar(total=last, unit="step", show=progress, leave=False) as bar:
        for window in paced(0, last, engine.least_steps):
            recorder.run_through(window)
            bar.update(len(window))
    derivatives = engine.measure()
    recorder.keep([last], engine.present(), derivatives[None])
    return open_text(recorder.dataset(engine.x, recording))


def _snapshot_steps(snapshots: int | ArrayLike, times: NDArray[np.float64]) -> list[int]:
    """Grid indices of the fields to keep."""
    if np.ndim(snapshots) == 0:
        count = min(integer(snapshots, "snapshots", minimum=0), len(times))
        return [int(k) for k in np.round(np.linspace(0, len(times) - 1, count))]
    wanted = np.asarray(snapshots, dtype=np.float64)
    if wanted.ndim != 1 or not ((wanted >= times[-1]) & (wanted <= times[0])).all():
        raise InvalidInputError(
            f"snapshots is {wanted.tolist()}; expected a number or times from {times[-1]} to {times[0]}"
        )
    nearest = np.abs(np.log(wanted)[:, None] - np.log(times)).argmin(axis=1)
    return sorted({int(k) for k in nearest})
