"""What a result was made with: versions, revision, machine. What cannot be found out is None, and costs no result."""

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from .threads import get_threads

__all__ = ["cpu_name", "environment", "git_revision"]

_PACKAGES = ("numba", "numpy", "scipy", "xarray")


def environment() -> dict[str, Any]:
    """Versions, revision, CPU and threads of this process, JSON-ready."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "fastpatch": _version("fastpatch"),
        "git_revision": git_revision(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "threads": get_threads(),
    }


@cache
def _version(package: str) -> str | None:
    """Of a package; looking it up takes longer than a small run. None for one on the path that is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return getattr(sys.modules.get(package), "__version__", None)


@cache
def git_revision() -> str | None:
    """Commit of the source tree this package runs from, with "-dirty" if edited; None for an installed copy."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, errors="replace", timeout=10,
                check=False,
            )  # fmt: skip
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
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
