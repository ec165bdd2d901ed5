"""The patch model on a GPU: states, steps and mode sums stay on the device between the calls of a run."""

from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from .errors import BackendUnavailableError
from .integrators import euler_coefficients
from .kernels import cuda_launch
from .kernels import patch as patch_kernels
from .kernels.cuda import add_blocks
from .models.patch import PatchModel
from .noise import NoiseStream, noise_key

__all__ = ["CudaPatchEngine"]

_MAX_BLOCKS = 2**31 - 1
_TABLE_BYTES = 32 * 2**20
_REDUCING_THREADS = 64


class CudaPatchEngine:
    """`fastpatch.integrators.PatchEngine` on a GPU.

    Per trajectory the device holds two fields, one more for every state recorded in a call, and the partial mode sums
    of its blocks. Trajectories that do not fit side by side take turns, their states kept by the host meanwhile.

    Recorded states are copied to the host, call by call, where their correlation lengths are taken as on the CPU.
    The derivatives of the last state are measured on the host too, in float64 like the CPU's.

    Raises `BackendUnavailableError` where not even one trajectory fits.
    """

    def __init__(
        self,
        model: PatchModel,
        x: NDArray[Any],
        times: NDArray[np.float64],
        step: int,
        seed: int,
        first_trajectory: int,
        shells: NDArray[np.int64],
        diagonal: bool,
    ) -> None:
        self.step = step
        self._model, self._times, self._first = model, times, first_trajectory
        self._host = np.ascontiguousarray(x)
        self._on_device = False
        self._batch = self._capacity = 0
        self._fields: list[Any] = []
        self._states: Any = None
        self._partials: Any = None
        self._key = noise_key(seed, NoiseStream.STEP)
        self._tables = patch_kernels.ModeTables(model.plan.patterns, (x.shape[1], x.shape[2]), shells, diagonal)
        self._sums = self._tables.directions * shells.size
        self._tiling = cuda_launch.Tiling.of(self._tables.shape, model.dictionary.size, x.dtype, self._sums)
        self._blocks = self._tiling.blocks(self._tables.shape)
        self._waves = tuple(_to_device(wave, x.dtype) for wave in cuda_launch.wave_tables(self._tables))
        self._dictionary: tuple[Any, ...] = ()
        plan = model.plan
        if not cuda_launch.compiled_in(plan):
            arrays = (_to_device(array, x.dtype) for array in (plan.patterns, plan.centers))
            self._dictionary = (*arrays, np.int32(plan.n_pairs))

    @property
    def x(self) -> NDArray[Any]:
        """The states (T, L1, L2), copied from the device."""
        if self._on_device:
            return np.asarray(_view(self._fields[0], self._host.shape).copy_to_host())
        return self._host

    def advance(self, records: NDArray[np.int64], fields: NDArray[Any]) -> NDArray[np.float64]:
        self._reserve(len(fields))
        count, tables = len(self._host), self._tables
        sums = np.empty((len(fields), count, tables.directions, tables.shells.size))
        for first in range(0, count, self._batch):
            group = slice(first, min(first + self._batch, count))
            self._advance_group(group, records, fields[:, group], sums[:, group])
        left = self._times[self.step + np.flatnonzero(records >= 0)]
        self.step += len(records)
        overlaps = np.moveaxis(0.5 * sums / tables.squared_norms, -2, -1)
        return self._model.derivative_of_overlap(overlaps, left[:, None, None, None])

    def measure(self) -> NDArray[np.float64]:
        return np.asarray(
            self._model.mode_derivatives(
                self.x.astype(np.float64), self._times[self.step], self._tables.shells, diagonal=self._tables.diagonal
            )
        )

    def _advance_group(
        self, group: slice, records: NDArray[np.int64], fields: NDArray[Any], sums: NDArray[np.float64]
    ) -> None:
        """Take the steps of some of the trajectories; fill ``fields`` (R, T, L1, L2) and ``sums`` (R, T, D, S)."""
        count = group.stop - group.start
        shape = (count, *self._tables.shape)
        x, y = (_view(field, shape) for field in self._fields)
        if not self._on_device:
            x.copy_to_device(self._host[group])
        states = _view(self._states, (len(fields), *shape))
        partials = _view(self._partials, (len(fields), count, self._blocks, self._sums))
        steps = self._steps(count)
        height, first = np.int32(self._tiling.height), np.uint32(self._first + group.start)
        for begin in range(0, len(records), self._table_rows):
            chosen = records[begin : begin + self._table_rows]
            table = cuda.to_device(self._table(self.step + begin, len(chosen)))
            for s, r in enumerate(chosen):
                record = int(r >= 0)
                steps[record](
                    x, y, height, table, np.int32(s), np.uint32(self.step + begin + s), first, *self._key,
                    self._dictionary, (np.int32(r), states, partials, *self._waves) if record else (),
                )  # fmt: skip
                x, y = y, x
        if len(fields):
            total = cuda.device_array((len(fields), count, self._sums), np.float64)
            threads = min(_REDUCING_THREADS, self._blocks)
            cuda_launch.configured(add_blocks, total.size, threads, 8 * threads)(partials, total)
            sums[...] = total.copy_to_host().reshape(sums.shape)
            fields[...] = states.copy_to_host()
        if count < len(self._host):
            self._host[group] = x.copy_to_host()
        else:
            self._on_device = True
            self._fields = self._fields[:: -1 if len(records) % 2 else 1]
            cuda.synchronize()

    def _steps(self, count: int) -> list[Any]:
        """The kernels without and with recording, for that many trajectories."""
        dictionary, dtype = self._model.dictionary, self._host.dtype
        return [
            cuda_launch.configured(
                cuda_launch.step_kernel(dictionary, dtype.name, record),
                count * self._blocks,
                self._tiling.width,
                self._tiling.shared_bytes(dictionary.size, dtype, sums),
            )
            for record, sums in ((False, 0), (True, self._sums))
        ]

    @property
    def _table_rows(self) -> int:
        return max(1, _TABLE_BYTES // (self._host.itemsize * (4 + len(self._model.plan.patterns))))

    def _table(self, first: int, steps: int) -> NDArray[Any]:
        """Constants (slope, linear, pull, kick, biases) of the steps from ``first`` on."""
        times = self._times[first : first + steps + 1]
        model, dtype = self._model, self._host.dtype
        slopes, biases = patch_kernels.step_constants(model.plan, model.schedule, times[:-1], dtype)
        coefficients = euler_coefficients(model, times).astype(dtype)
        return np.concatenate([slopes[:, None], coefficients, biases], axis=1)

    def _reserve(self, records: int) -> None:
        """Room on the device for ``records`` states of as many trajectories as fit."""
        if self._batch and records <= self._capacity:
            return
        self._host, self._on_device = self.x, False
        count = min(len(self._host), _MAX_BLOCKS // max(1, self._blocks))
        while True:
            try:
                self._allocate(count, records)
                return
            except Exception as error:
                if "OUT_OF_MEMORY" not in str(error):
                    raise
                self._fields, self._states, self._partials = [], None, None
                if count == 1:
                    raise self._too_large(records) from None
                count = -(-count // 2)

    def _allocate(self, count: int, records: int) -> None:
        sites, dtype = self._host[0].size, self._host.dtype
        self._fields = [cuda.device_array(count * sites, dtype) for _ in range(2)]
        self._states = cuda.device_array(max(1, records * count * sites), dtype)
        self._partials = cuda.device_array(max(1, records * count * self._blocks * self._sums), np.float64)
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
