"""The patch model on a GPU: states, steps and observables stay on the device between the calls of a run."""

from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from ...errors import BackendUnavailableError
from ...kernels import patch as patch_kernels
from ...kernels.cuda import launch
from ...kernels.cuda.step import add_blocks
from ...noise import NoiseStream, noise_key
from ..setup import Setup
from .base import observe
from .cuda_observables import Observer

__all__ = ["CudaPatchEngine"]

_MAX_BLOCKS = 2**31 - 1
_TABLE_BYTES = 32 * 2**20
# (linear, pull, kick) of a step that leaves the field as it is.
_STAY = np.array([[1.0, 0.0, 0.0]])


class CudaPatchEngine:
    """`fastpatch.runs.engines.patch.PatchEngine` on a GPU.

    Per trajectory the device holds two fields, and for every state recorded in a call about 1.1 more and the partial
    mode sums of its blocks. Trajectories that do not fit side by side take turns, the host keeping their states.
    Recorded states stay on the device, where `Observer` takes their correlation lengths, unless they do not fit there
    or are asked for as a NumPy array.

    Raises `BackendUnavailableError` where not even one trajectory fits.
    """

    least_steps = 1

    def __init__(self, setup: Setup, x: NDArray[Any], step: int = 0) -> None:
        model: Any = setup.model
        solver: Any = setup.solver
        self.step = step
        self._model, self._times, self._first = model, setup.times, setup.first_trajectory
        self._coefficients = solver.coefficients(model.schedule, setup.times)
        self._host, self._on_device = np.ascontiguousarray(x), False
        self._batch = self._capacity = 0
        self._fields: list[Any] = []
        self._states: Any = None
        self._partials: Any = None
        self._observer: Observer | None = None
        self._key = noise_key(setup.seed, NoiseStream.STEP)
        self._tables = patch_kernels.ModeTables(model.plan.patterns, setup.shape, setup.shells, setup.diagonal)
        self._sums = self._tables.directions * setup.shells.size
        self._tiling = launch.Tiling.of(self._tables.shape, model.dictionary.size, x.dtype, self._sums)
        self._blocks = self._tiling.blocks(self._tables.shape)
        self._waves = tuple(_to_device(wave, x.dtype) for wave in launch.wave_tables(self._tables))
        self._dictionary: tuple[Any, ...] = ()
        plan = model.plan
        if not launch.compiled_in(plan):
            arrays = (_to_device(array, x.dtype) for array in (plan.patterns, plan.centers))
            self._dictionary = (*arrays, np.int32(plan.n_pairs))

    @property
    def x(self) -> NDArray[Any]:
        """The states (T, L1, L2), copied from the device."""
        if self._on_device:
            return np.asarray(_view(self._fields[0], self._host.shape).copy_to_host())
        return self._host

    def gallery(self, count: int) -> NDArray[Any]:
        return np.empty((len(self._host), count, *self._tables.shape), dtype=self._host.dtype)

    def space(self, count: int) -> Any:
        self._reserve(count)
        shape = (count, *self._host.shape)
        return np.empty(shape, dtype=self._host.dtype) if self._observer is None else _view(self._states, shape)

    def present(self) -> Any:
        fields = self.space(1)
        if self._on_device and self._observer is not None:
            _view(fields, self._host.shape).copy_to_device(_view(self._fields[0], self._host.shape))
            return fields
        return self.x[None]

    def observe(self, fields: Any, rows: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._observer is None or isinstance(fields, np.ndarray):
            return observe(np.asarray(fields)[rows])
        count, paths = fields.shape[:2]
        lengths, means = self._observer.observe(fields.reshape(count * paths, *self._tables.shape))
        if not np.isfinite(means).all():
            return observe(fields.copy_to_host()[rows])
        return lengths.reshape(count, paths)[rows], means.reshape(count, paths)[rows]

    def fetch(self, fields: Any, row: int) -> NDArray[Any]:
        return np.asarray(fields[row] if isinstance(fields, np.ndarray) else fields[row].copy_to_host())

    def advance(self, records: NDArray[np.int64], fields: Any) -> NDArray[np.float64]:
        window = slice(self.step, self.step + len(records))
        times = self._times[window]
        overlaps = self._run(times, self._coefficients[window], records, fields)
        self.step += len(records)
        recorded = times[records >= 0][:, None, None, None]
        return np.asarray(self._model.derivative_of_overlap(overlaps, recorded))

    def measure(self) -> NDArray[np.float64]:
        time = self._times[self.step : self.step + 1]
        overlaps = self._run(time, _STAY, np.zeros(1, dtype=np.int64), self.space(1))
        return np.asarray(self._model.derivative_of_overlap(overlaps[0], float(time[0])))

    def _run(
        self,
        times: NDArray[np.float64],
        coefficients: NDArray[np.float64],
        records: NDArray[np.int64],
        fields: Any,
    ) -> NDArray[np.float64]:
        """Take steps; ``sigma^2/alpha v^T (dm/dx) v`` of the recorded states, (R, T, n_shells, directions)."""
        self._reserve(len(fields))
        count, tables = len(self._host), self._tables
        sums = np.empty((len(fields), count, tables.directions, tables.shells.size))
        for first in range(0, count, self._batch):
            group = slice(first, min(first + self._batch, count))
            self._run_group(group, times, coefficients, records, fields, sums[:, group])
        return np.moveaxis(0.5 * sums / tables.squared_norms, -2, -1)

    def _run_group(
        self,
        group: slice,
        times: NDArray[np.float64],
        coefficients: NDArray[np.float64],
        records: NDArray[np.int64],
        fields: Any,
        sums: NDArray[np.float64],
    ) -> None:
        """Take the steps of some of the trajectories; fill their part of ``fields``, and ``sums`` (R, T, D, S)."""
        count = group.stop - group.start
        shape = (count, *self._tables.shape)
        x, y = (_view(field, shape) for field in self._fields)
        if not self._on_device:
            x.copy_to_device(self._host[group])
        on_host = isinstance(fields, np.ndarray)
        states = _view(self._states, (len(fields), *shape)) if on_host else fields
        partials = _view(self._partials, (len(fields), count, self._blocks, self._sums))
        kernels = self._kernels(count)
        height, first = np.int32(self._tiling.height), np.uint32(self._first + group.start)
        rows = max(1, _TABLE_BYTES // (self._host.itemsize * (4 + len(self._model.plan.patterns))))
        for begin in range(0, len(records), rows):
            window = slice(begin, begin + rows)
            table = cuda.to_device(self._table(times[window], coefficients[window]))
            for s, r in enumerate(records[window]):
                record = int(r >= 0)
                kernels[record](
                    x, y, height, table, np.int32(s), np.uint32(self.step + begin + s), first, *self._key,
                    self._dictionary, (np.int32(r), states, partials, *self._waves) if record else (),
                )  # fmt: skip
                x, y = y, x
        if len(fields):
            total = cuda.device_array((len(fields), count, self._sums), np.float64)
            threads = min(launch.REDUCING_THREADS, self._blocks)
            launch.configured(add_blocks, total.size, threads, 8 * threads)(partials, total)
            sums[...] = total.copy_to_host().reshape(sums.shape)
            if on_host:
                fields[:, group] = states.copy_to_host()
        if count < len(self._host):
            self._host[group] = x.copy_to_host()
        else:
            self._on_device = True
            self._fields = self._fields[:: -1 if len(records) % 2 else 1]
            cuda.synchronize()

    def _kernels(self, count: int) -> list[Any]:
        """The steps without and with recording, for that many trajectories."""
        dictionary, dtype = self._model.dictionary, self._host.dtype
        return [
            launch.configured(
                launch.step_kernel(self._model.plan, dtype.name, record),
                count * self._blocks,
                self._tiling.width,
                self._tiling.shared_bytes(dictionary.size, dtype, sums),
            )
            for record, sums in ((False, 0), (True, self._sums))
        ]

    def _table(self, times: NDArray[np.float64], coefficients: NDArray[np.float64]) -> NDArray[Any]:
        """Constants (slope, linear, pull, kick, biases) of steps, as the kernels take them."""
        model, dtype = self._model, self._host.dtype
        alpha, sigma2 = model.schedule.amplitudes(times)
        slopes, biases = patch_kernels.step_constants(model.plan, alpha, sigma2, dtype)
        return np.concatenate([slopes[:, None], coefficients.astype(dtype), biases], axis=1)

    def _reserve(self, records: int) -> None:
        """Room on the device for ``records`` states of as many trajectories as fit."""
        if self._batch and records <= self._capacity:
            return
        self._host, self._on_device = self.x, False
        count = min(len(self._host), _MAX_BLOCKS // max(1, self._blocks))
        observed = count == len(self._host)
        while True:
            try:
                self._allocate(count, records, observed)
                return
            except Exception as error:
                if "OUT_OF_MEMORY" not in str(error):
                    raise
                self._fields, self._states, self._partials, self._observer = [], None, None, None
                if count == 1 and not observed:
                    raise self._too_large(records) from None
                count, observed = count if observed else -(-count // 2), False

    def _allocate(self, count: int, records: int, observed: bool) -> None:
        shape, dtype = (count, *self._tables.shape), self._host.dtype
        sites = int(np.prod(shape))
        self._fields = [cuda.device_array(sites, dtype) for _ in range(2)]
        self._states = cuda.device_array(max(1, records * sites), dtype)
        self._partials = cuda.device_array(max(1, records * count * self._blocks * self._sums), np.float64)
        self._observer = Observer(max(1, records * count), self._tables.shape) if observed else None
        self._batch, self._capacity = count, records

    def _too_large(self, records: int) -> BackendUnavailableError:
        needed = (2 + records) * self._host[0].nbytes + 8 * records * self._blocks * self._sums
        free = cuda.current_context().get_memory_info().free
        shape = "x".join(map(str, self._tables.shape))
        return BackendUnavailableError(
            f"one trajectory on {shape} sites needs {needed} bytes of device memory and {free} are free; "
            "expected a smaller lattice or backend='cpu'"
        )


def _to_device(array: NDArray[Any], dtype: np.dtype[Any]) -> Any:
    return cuda.to_device(np.ascontiguousarray(array, dtype=dtype))


def _view(flat: Any, shape: tuple[int, ...]) -> Any:
    return flat[: int(np.prod(shape))].reshape(shape)
