"""``fastpatch info``: what this installation runs on, and what is wrong with it."""

import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import metadata

__all__ = ["info"]

_REQUIRED = ("numba", "llvmlite", "numpy", "scipy", "xarray")
_OPTIONAL = ("torch", "safetensors", "pooch", "dask", "distributed", "zarr", "numba-cuda")
_VARIABLES = ("NUMBA_", "FASTPATCH_", "OMP_", "OPENBLAS_", "MKL_", "CUDA_")


def info() -> None:
    """Versions, CPU, threads, GPU, where compiled kernels are kept, and what of the environment has a say in it.

    Answers whatever is broken: a row then holds the reason.
    """
    rows: dict[str, Callable[[], str]] = {
        "fastpatch": _fastpatch,
        "revision": _revision,
        "python": lambda: f"{sys.version.split()[0]} ({sys.executable})",
    }
    rows |= {name: partial(metadata.version, name) for name in (*_REQUIRED, *_OPTIONAL)}
    rows |= {
        "CPU": _cpu,
        "vector units": _vector_units,
        "threads": _threads,
        "kernels": _kernels,
        "kernel cache": _cache,
        "GPU": _gpu,
        "CUDA backend": _cuda_backend,
        "environment": _environment,
    }
    for name, row in rows.items():
        try:
            value = row()
        except metadata.PackageNotFoundError:
            value = "not installed"
        # A report of what is broken must not break on it.
        except Exception as error:
            value = f"not available ({' '.join(str(error).split()) or type(error).__name__})"
        print(f"{name:<18}{value}")


def _fastpatch() -> str:
    from .. import __version__

    return __version__


def _revision() -> str:
    from ..provenance import git_revision

    return git_revision() or "installed copy"


def _cpu() -> str:
    from ..provenance import cpu_name

    return f"{cpu_name()}, {os.cpu_count()} cores"


def _vector_units() -> str:
    import llvmlite.binding as llvm

    from ..kernels.environment import has_fma

    found = llvm.get_host_cpu_features()
    known = (("avx512f", "512 bits (AVX-512)"), ("avx2", "256 bits (AVX2)"), ("neon", "128 bits (NEON)"))
    wide = next((width for feature, width in known if found.get(feature)), "128 bits or less")
    slow = "; no fused multiply-add (FMA) to compile for, so steps take many times as long as on a CPU with AVX2"
    return wide + ("" if has_fma() else slow)


def _threads() -> str:
    from ..threads import available_threads, get_threads

    return f"{get_threads()} of {available_threads()}"


def _kernels() -> str:
    """Whether one can be compiled and run."""
    from ..noise import standard_normals

    standard_normals((1, 4, 4), seed=0)
    return "compile and run"


def _cache() -> str:
    from ..kernels.cache import size, writable_folder

    folder = writable_folder()
    if folder is None:
        return "none: set NUMBA_CACHE_DIR to a writable directory"
    return f"{folder} ({size() / 2**20:.1f} MiB)"


def _gpu() -> str:
    from ..kernels.environment import require_compiler

    require_compiler()
    from numba import cuda

    if not cuda.is_available():
        return "none found"
    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)


def _cuda_backend() -> str:
    from ..errors import BackendUnavailableError
    from ..kernels.environment import require_compiler
    from ..runs.backends import resolve_backend

    require_compiler()
    try:
        resolve_backend("cuda")
    except BackendUnavailableError as error:
        return f"experimental; not available here: {error}"
    return "experimental: checked in a simulator only, its speed never measured; see python -m bench.gpu"


def _environment() -> str:
    found = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(_VARIABLES)]
    return " ".join(found) or "no variable that matters is set"
