"""Samples on disk: a file a batch, written once it is finished, under one record of what the experiment is.

A run that is killed loses the batch under way and nothing else. Every file is complete or absent, and what is
computed together follows from the settings alone, so that a resumed experiment writes the files that it would have
written.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...atomic import atomic_path, exclusive_directory, writable_directory
from ...errors import InvalidInputError, ResultFileError
from ...identity import differences
from ...messages import reason
from ...npz_file import read_npz, write_npz
from .push import PUSHES

__all__ = ["SampleStore", "Strips", "Unguided"]

# 2: branches come with their pushes. 3: random kicks have the power spectrum of the guidance.
_FORMAT = 3


class Unguided(NamedTuple):
    """Unguided runs of a block: their samples (B, C, H, W), and their states (R, B, C, H, W) at the steps (R,)."""

    images: NDArray[np.float32]
    steps: tuple[int, ...]
    states: NDArray[np.float32]


class Strips(NamedTuple):
    """Denoised images (classes, S, C, H, W) at the steps (S,) of one run of each class, without and with the pulse."""

    steps: tuple[int, ...]
    unguided: NDArray[np.float32]
    critical: NDArray[np.float32]


class SampleStore:
    """The samples of one experiment in a directory, which is created if need be.

    Parameters
    ----------
    directory
        Of this experiment alone.
    identity
        Everything on which the samples depend, as JSON values.
    shape
        (C, H, W) of an image.

    Raises `InvalidInputError` where the directory holds samples of another identity, `ResultFileError` where it holds
    samples without one, and `OutputError` where it cannot be written.
    """

    def __init__(self, directory: str | Path, identity: Mapping[str, Any], shape: tuple[int, ...]) -> None:
        self.directory, self._shape = writable_directory(directory), shape
        manifest = self.directory / "manifest.json"
        if manifest.exists():
            self._check(manifest, identity)
            return
        if any(self.directory.glob("*.npz")):
            raise ResultFileError(f"{manifest} is missing beside samples; expected it, or another output directory")
        with atomic_path(manifest, follow_links=False) as temporary:
            temporary.write_text(json.dumps({"format": _FORMAT, "identity": dict(identity)}, indent=1, sort_keys=True))

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep other experiments out of the directory; `OutputError` where one is at work in it."""
        with exclusive_directory(self.directory, "pulse experiment"):
            yield

    def has_branches(self, block: int, batch: int) -> bool:
        return self._branches(block, batch).exists()

    def branches(self, block: int, batch: int, count: int) -> NDArray[np.float32]:
        """The ``count`` samples (B, C, H, W) of a batch; `ResultFileError` if it is not finished, or damaged."""
        (images,) = _read(self._branches(block, batch), images=(count, *self._shape))
        return images

    def pushes(self, block: int, batch: int, count: int) -> NDArray[np.float32]:
        """The `Pushes.values` (B, 4) of a batch; raises as `branches` does."""
        (pushes,) = _read(self._branches(block, batch), pushes=(count, len(PUSHES)))
        return pushes

    def save_branches(self, block: int, batch: int, images: NDArray[np.float32], pushes: NDArray[np.float32]) -> None:
        _write(self._branches(block, batch), images=images, pushes=pushes)

    def unguided_steps(self, block: int) -> tuple[int, ...] | None:
        """The steps whose states are on disk, None where the unguided runs of the block are still to be made."""
        path = self._unguided(block)
        return tuple(_read(path, steps=(None,))[0].tolist()) if path.exists() else None

    def unguided(self, block: int, count: int) -> Unguided:
        """The ``count`` unguided runs of a block; `ResultFileError` if they are not finished, or damaged."""
        path, one = self._unguided(block), (count, *self._shape)
        images, steps, states = _read(path, images=one, steps=(None,), states=(None, *one))
        if len(steps) != len(states):
            raise ResultFileError(f"{path} holds {len(states)} states at {len(steps)} steps; expected one a step")
        return Unguided(images, tuple(steps.tolist()), states)

    def save_unguided(self, block: int, runs: Unguided) -> None:
        _write(self._unguided(block), images=runs.images, steps=np.array(runs.steps, np.int64), states=runs.states)

    def has_strips(self) -> bool:
        return self._strips.exists()

    def strips(self, classes: int, levels: int) -> Strips:
        """The strips of so many classes at some of so many steps; `ResultFileError` if not finished, or damaged."""
        images = (classes, None, *self._shape)
        steps, unguided, critical = _read(self._strips, steps=(None,), unguided=images, critical=images)
        if not (len(steps) == unguided.shape[1] == critical.shape[1] and set(steps.tolist()) <= set(range(levels))):
            raise ResultFileError(f"{self._strips} holds other steps than images; expected samples of this experiment")
        return Strips(tuple(steps.tolist()), unguided, critical)

    def save_strips(self, strips: Strips) -> None:
        _write(self._strips, **(strips._asdict() | {"steps": np.array(strips.steps, np.int64)}))

    @property
    def _strips(self) -> Path:
        return self.directory / "strips.npz"

    def _branches(self, block: int, batch: int) -> Path:
        return self.directory / f"branches-{block:04d}-{batch:04d}.npz"

    def _unguided(self, block: int) -> Path:
        return self.directory / f"unguided-{block:04d}.npz"

    def _check(self, manifest: Path, identity: Mapping[str, Any]) -> None:
        try:
            content = json.loads(manifest.read_text())
            found, version = content["identity"], content["format"]
            if version != _FORMAT or not isinstance(found, dict):
                raise ValueError(f"format {version}, expected {_FORMAT}")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ResultFileError(
                f"{manifest} is not readable ({reason(error)}); expected one written by a pulse experiment"
            ) from None
        differing = differences(found, json.loads(json.dumps(identity)))
        if differing:
            raise InvalidInputError(
                f"{self.directory} holds samples of another experiment, with {', '.join(differing)}; expected the same "
                "settings, or another output directory"
            )


def _write(path: Path, **arrays: NDArray[Any]) -> None:
    write_npz(path, arrays, follow_links=False)


def _read(path: Path, **expected: tuple[int | None, ...]) -> list[NDArray[Any]]:
    """The arrays of these names and shapes, None for any length: whole numbers for steps, and finite float32."""
    try:
        arrays = list(read_npz(path, expected).values())
    except ValueError as error:
        raise ResultFileError(
            f"{path} is not readable ({error}); expected samples of this experiment, which are computed again "
            "where the file is removed"
        ) from None
    for array, (name, shape) in zip(arrays, expected.items(), strict=True):
        kind = "int64" if name == "steps" else "float32"
        fits = array.ndim == len(shape) and all(
            want in (None, have) for have, want in zip(array.shape, shape, strict=True)
        )
        if not fits or array.dtype != kind:
            lengths = ", ".join("any" if length is None else str(length) for length in shape)
            raise ResultFileError(
                f"{path} holds {name} of shape {array.shape} and dtype {array.dtype}; expected ({lengths}) and {kind}"
            )
        if not np.isfinite(array).all():
            raise ResultFileError(f"{path} holds {name} that are not finite; expected samples of this experiment")
    return arrays
