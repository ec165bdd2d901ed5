"""``fastpatch info``: what this installation runs on."""

import os
from importlib import metadata
from pathlib import Path

__all__ = ["info"]

_OPTIONAL = ("torch", "safetensors", "pooch", "dask", "distributed", "zarr", "numba-cuda")


def info() -> None:
    """Versions, CPU, threads, threading layer, GPU, and where compiled kernels are cached."""
    import numba
    from numba.core import config
    from numba.core.errors import NumbaError
    from numba.np.ufunc.parallel import threading_layer

    from ..provenance import cpu_name, environment

    found = environment()
    rows = {"fastpatch": found["fastpatch"], "revision": found["git_revision"] or "installed copy"}
    rows |= found["versions"]
    for name in _OPTIONAL:
        try:
            rows[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            rows[name] = "not installed"
    rows["CPU"] = f"{cpu_name()}, {os.cpu_count()} cores"
    most = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # set at run time
    rows["threads"] = f"{numba.get_num_threads()} of {most}"
    _start_threads()
    try:
        rows["threading layer"] = threading_layer()
    except (ValueError, NumbaError) as error:
        rows["threading layer"] = f"not available ({error})"
    rows["GPU"] = _gpu()
    rows["kernel cache"] = _cache_directory()
    for name, value in rows.items():
        print(f"{name:<18}{value}")


def _start_threads() -> None:
    """Numba chooses its threading layer at the first parallel call."""
    from ..noise import standard_normals

    standard_normals((1, 4, 4), seed=0)


def _gpu() -> str:
    try:
        from numba import cuda

        if not cuda.is_available():
            return "none found"
        name = cuda.get_current_device().name
        return name.decode() if isinstance(name, bytes) else str(name)
    except Exception as error:  # a broken driver raises whatever it likes; this is a report, not a computation
        return f"none usable ({type(error).__name__})"


def _cache_directory() -> str:
    from ..kernels import cpu

    path = cpu.advance.stats.cache_path
    if path is None:
        return "none: set NUMBA_CACHE_DIR to a writable directory"
    used = sum(file.stat().st_size for file in Path(path).glob("*.nb[ic]")) if Path(path).is_dir() else 0
    return f"{path} ({used / 2**20:.1f} MiB)"
