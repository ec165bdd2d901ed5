"""The records of a run while it goes on: arrays that fill from the first recorded time to the last."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .engines.base import Engine
from .observables import Observable, ObservableWarning
from .recording import Recording
from .setup import Setup

__all__ = ["RecordBuffer"]

# Fields are collected to about this many bytes before their correlation lengths are taken together.
_BLOCK_BYTES = 8 * 2**20

_RECORD = "record:"


class RecordBuffer:
    """Takes the steps of a run and keeps what its `Recording` wants of it.

    ``arrays`` holds the records by name, (T, times, ...); ``snapshots`` (T, kept, L1, L2).
    """

    def __init__(self, setup: Setup, recording: Recording, engine: Engine) -> None:
        self._setup, self._engine, self._recording = setup, engine, recording
        self._position = {step: index for index, step in enumerate(recording.steps)}
        self._stops = np.array(sorted({*recording.steps, *recording.kept}))
        self._failed: set[str] = set()
        self._sizes = dict(recording.sizes)
        count, times = setup.trajectories, len(recording.steps)
        self.arrays: dict[str, NDArray[np.float64]] = {}
        if recording.lengths:
            self.arrays |= {"xi_x": np.full((count, times), np.nan), "magnetization": np.full((count, times), np.nan)}
        if recording.derivatives:
            of_modes = (count, times, setup.shells.size, setup.directions)
            self.arrays["mode_derivative"] = np.full(of_modes, np.nan)
        self.snapshots = engine.gallery(len(recording.kept))
        block = _BLOCK_BYTES // (count * setup.shape[0] * setup.shape[1] * setup.dtype.itemsize)
        self._fields = engine.space(min(max(block, 1), times))

    def saved(self) -> dict[str, NDArray[Any]]:
        """All that a checkpoint keeps of it, by names that no record has."""
        return {
            "snapshots": self.snapshots,
            "failed": np.array(sorted(self._failed), dtype=np.str_),
            **{_RECORD + name: values for name, values in self.arrays.items()},
        }

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `saved` gave; an observable that failed is not asked again."""
        self.snapshots[...] = saved["snapshots"]
        self._failed = set(saved["failed"].tolist())
        self.arrays |= {
            name.removeprefix(_RECORD): values for name, values in saved.items() if name.startswith(_RECORD)
        }

    def run_through(self, window: range) -> None:
        """Take the steps of ``window``, recording the states before those that are wanted."""
        stops = self._stops[(self._stops >= window.start) & (self._stops < window.stop)]
        first = window.start
        for begin in range(0, max(len(stops), 1), len(self._fields)):
            block = stops[begin : begin + len(self._fields)]
            end = stops[begin + len(self._fields)] if begin + len(self._fields) < len(stops) else window.stop
            records = np.full(end - first, -1)
            records[block - first] = np.arange(len(block))
            fields = self._fields[: len(block)]
            self._keep(block.tolist(), fields, self._engine.advance(records, fields))
            first = end

    def finish(self) -> None:
        """Record the last state."""
        derivatives = self._engine.measure()
        self._keep([self._setup.last], self._engine.present(), derivatives[None])

    def _keep(self, steps: list[int], fields: Any, derivatives: NDArray[np.float64]) -> None:
        """Take the observables of the states ``fields`` (steps, T, L1, L2)."""
        wanted = [index for index, step in enumerate(steps) if step in self._position]
        if wanted:
            at = [self._position[steps[index]] for index in wanted]
            if "xi_x" in self.arrays:
                xi_x, magnetization = self._engine.observe(fields, wanted)
                self.arrays["xi_x"][:, at] = xi_x.T
                self.arrays["magnetization"][:, at] = magnetization.T
            if "mode_derivative" in self.arrays:
                self.arrays["mode_derivative"][:, at] = np.swapaxes(derivatives[wanted], 0, 1)
            if self._recording.others:
                for index, position in zip(wanted, at, strict=True):
                    self._observe(self._engine.fetch(fields, index), steps[index], position)
        for index, step in enumerate(self._recording.kept):
            if step in steps:
                self.snapshots[:, index] = self._engine.fetch(fields, steps.index(step))

    def _observe(self, states: NDArray[Any], step: int, position: int) -> None:
        """Lend states to every observable, and keep what it returns."""
        lent = states.view()
        lent.setflags(write=False)
        t = float(self._setup.times[step])
        for observable in self._recording.others:
            name = observable.name
            if name not in self.arrays:
                # The first time: nothing is lost yet, and the run would be of no use.
                found = self._checked(observable, lent, t, None)
                self.arrays[name] = np.full((len(found), len(self._position), *found.shape[1:]), np.nan)
            elif name in self._failed:
                continue
            else:
                try:
                    found = self._checked(observable, lent, t, self.arrays[name].shape[2:])
                except InvalidInputError as error:
                    self._failed.add(name)
                    warnings.warn(f"{error}; its later records are NaN", ObservableWarning, stacklevel=2)
                    continue
            if np.isnan(found).any() and not np.isnan(self.arrays[name][:, :position]).any():
                warnings.warn(f"observable {name!r} is NaN at t = {t:.4g}", ObservableWarning, stacklevel=2)
            self.arrays[name][:, position] = found

    def _checked(
        self, observable: Observable, states: NDArray[Any], t: float, shape: tuple[int, ...] | None
    ) -> NDArray[np.float64]:
        """What an observable says of the states, (T, ...); `InvalidInputError` names it and the time."""
        setup, at = self._setup, f"observable {observable.name!r} at t = {t:.4g}"
        try:
            value = observable.function(states, t)
            found = np.asarray(value)
        except Exception as error:
            words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise InvalidInputError(f"{at} raised {words}; expected numbers, and x left alone") from error
        if found.dtype.kind not in "biuf":
            raise InvalidInputError(f"{at} returned dtype {found.dtype.name}; expected real numbers")
        expected = (setup.trajectories, *(shape if shape is not None else found.shape[1:]))
        if found.shape != expected or found.ndim != 1 + len(observable.axes):
            words = ", ".join([f"T = {setup.trajectories}", *observable.axes])
            raise InvalidInputError(f"{at} returned shape {found.shape}; expected ({words})")
        for dim, length in zip(observable.axes, found.shape[1:], strict=True):
            if self._sizes.setdefault(dim, length) != length:
                raise InvalidInputError(f"{at} has {length} values along {dim}; expected {self._sizes[dim]}")
        return found.astype(np.float64)
