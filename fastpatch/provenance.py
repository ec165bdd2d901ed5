"""What a result was made from: parameters, seed, versions, revision, machine."""

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .run import Run

__all__ = ["environment", "git_revision", "run_identity"]

_PACKAGES = ("numba", "numpy", "scipy", "xarray")


def run_identity(run: "Run") -> dict[str, Any]:
    """All that determines the states of a run, JSON-ready; machine, threads and batching are not among it."""
    describe = getattr(run.model, "describe", None)
    rates = run.model.schedule.rate(run.times)
    return {
        "model": describe() if describe is not None else {"type": type(run.model).__name__},
        "shape": list(run.shape),
        "trajectories": run.trajectories,
        "first_trajectory": run.first_trajectory,
        "seed": run.seed,
        "dtype": run.dtype.name,
        "t_max": float(run.times[0]),
        "t_min": float(run.times[-1]),
        "steps": len(run.times) - 1,
        # The rate enters by its values on the grid: a callable has no other identity that outlives its process.
        "times_sha256": hashlib.sha256(np.array([run.times, rates], dtype="<f8").tobytes()).hexdigest(),
    }


def environment() -> dict[str, Any]:
    """Versions, revision, CPU and threads of this process, JSON-ready."""
    import numba

    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "fastpatch": _version("fastpatch"),
        "git_revision": git_revision(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "threads": numba.get_num_threads(),
    }


@cache
def _version(package: str) -> str:
    """Of an installed package; looking it up takes longer than a small run."""
    return metadata.version(package)


@cache
def git_revision() -> str | None:
    """Commit of the source tree this package runs from, with "-dirty" if edited; None for an installed copy."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # A copy installed into somebody else's repository must not report that one's commit.
    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = git("rev-parse", "HEAD")
    if commit is None:
        return None
    return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")


@cache
def cpu_name() -> str:
    """The CPU's own name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
