"""Samples on disk: a file a batch, written once it is finished, under one record of what the experiment is.

A run that is killed loses the batch under way and nothing else. Every file is complete or absent, and what is
computed together follows from the settings alone, so that a resumed experiment writes the files that it would have
written.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...atomic import atomic_path, writable_directory
from ...errors import InvalidInputError, ResultFileError
from ..identity import differences

__all__ = ["SampleStore", "Strips", "Unguided"]

_FORMAT = 1


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

    Raises `InvalidInputError` where the directory holds samples of another identity, `ResultFileError` where it holds
    samples without one, and `OutputError` where it cannot be written. That no other process writes to it is not
    checked.
    """

    def __init__(self, directory: str | Path, identity: Mapping[str, Any]) -> None:
        self.directory = writable_directory(directory)
        manifest = self.directory / "manifest.json"
        if manifest.exists():
            self._check(manifest, identity)
            return
        if any(self.directory.glob("*.npz")):
            raise ResultFileError(f"{manifest} is missing beside samples; expected it, or another output directory")
        with atomic_path(manifest) as temporary:
            temporary.write_text(json.dumps({"format": _FORMAT, "identity": dict(identity)}, indent=1, sort_keys=True))

    def has_branches(self, block: int, batch: int) -> bool:
        return self._branches(block, batch).exists()

    def branches(self, block: int, batch: int, count: int) -> NDArray[np.float32]:
        """The ``count`` samples (B, C, H, W) of a batch; `ResultFileError` if it is not finished, or damaged."""
        path = self._branches(block, batch)
        return _counted(_read(path, "images")[0], count, path)

    def save_branches(self, block: int, batch: int, images: NDArray[np.float32]) -> None:
        _write(self._branches(block, batch), images=images)

    def unguided_steps(self, block: int) -> tuple[int, ...] | None:
        """The steps whose states are on disk, None where the unguided runs of the block are still to be made."""
        path = self._unguided(block)
        return tuple(_read(path, "steps")[0].tolist()) if path.exists() else None

    def unguided(self, block: int, count: int) -> Unguided:
        """The ``count`` unguided runs of a block; `ResultFileError` if they are not finished, or damaged."""
        path = self._unguided(block)
        images, steps, states = _read(path, "images", "steps", "states")
        return Unguided(_counted(images, count, path), tuple(steps.tolist()), states)

    def save_unguided(self, block: int, runs: Unguided) -> None:
        _write(self._unguided(block), images=runs.images, steps=np.array(runs.steps, np.int64), states=runs.states)

    def has_strips(self) -> bool:
        return self._strips.exists()

    def strips(self) -> Strips:
        steps, unguided, critical = _read(self._strips, *Strips._fields)
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
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultFileError(
                f"{manifest} is not readable ({error}); expected one written by a pulse experiment"
            ) from None
        differing = differences(found, json.loads(json.dumps(identity)))
        if differing:
            raise InvalidInputError(
                f"{self.directory} holds samples of another experiment, with {', '.join(differing)}; expected the same "
                "settings, or another output directory"
            )


def _counted(images: NDArray[Any], count: int, path: Path) -> NDArray[np.float32]:
    if len(images) != count:
        raise ResultFileError(f"{path} holds {len(images)} samples; expected {count}")
    return images


def _write(path: Path, **arrays: NDArray[Any]) -> None:
    # Through memory: a full disk is then the OSError that `atomic_path` reports.
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # none of them is named allow_pickle
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def _read(path: Path, *names: str) -> list[NDArray[Any]]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return [file[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ResultFileError(
            f"{path} is not readable ({error}); expected samples of this experiment, which are computed again where "
            "the file is removed"
        ) from None
