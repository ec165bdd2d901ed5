"""What a timing was taken on. Timings are compared only within one kind of machine."""

import os
import platform
import re
from importlib import metadata
from typing import Any

import llvmlite.binding as llvm

from fastpatch.provenance import cpu_name, git_revision

__all__ = ["describe_machine", "machine_kind", "machine_title", "slug"]

_VECTOR_BITS = {"avx512f": 512, "avx2": 256, "sve": 128, "neon": 128, "sse2": 128}
_PACKAGES = ("numba", "llvmlite", "numpy", "scipy", "torch", "jax")


def machine_kind() -> dict[str, Any]:
    """The CPU's name, the one LLVM compiles for, and the width of its vector registers in bits."""
    features = llvm.get_host_cpu_features()
    widths = [bits for feature, bits in _VECTOR_BITS.items() if features.get(feature)]
    return {"cpu": cpu_name(), "target": llvm.get_host_cpu_name(), "vector_bits": max(widths, default=0)}


def machine_title(kind: dict[str, Any]) -> str:
    """The kind in words, for tables and figures."""
    return f"{kind['cpu']} ({kind['target']}, {kind['vector_bits']}-bit vectors)"


def slug(kind: dict[str, Any]) -> str:
    """The kind as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", f"{kind['cpu']} {kind['target']} {kind['vector_bits']}".lower()).strip("-")


def describe_machine() -> dict[str, Any]:
    """Kind, cores, load, versions and revision at this moment."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "kind": machine_kind(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "load": os.getloadavg(),
        "versions": versions,
        "revision": git_revision(),
    }
