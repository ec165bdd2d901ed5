"""Which engine runs the steps, and a clear refusal where it cannot."""

from importlib.util import find_spec
from typing import Literal, get_args

from ..errors import BackendUnavailableError, InvalidInputError

__all__ = ["BACKENDS", "Backend", "resolve_backend"]

Backend = Literal["auto", "cpu", "cuda", "dask"]
BACKENDS = get_args(Backend)

_INSTALL = "pip install 'fastpatch[cuda12]' or 'fastpatch[cuda13]', as the driver supports"


def resolve_backend(backend: str) -> str:
    """The backend that ``backend`` stands for: "auto" is the CPU.

    Raises `InvalidInputError` for an unknown name and `BackendUnavailableError` for a GPU or Dask that cannot be used,
    with what is missing (package, driver, device or compiler libraries) and what to do about it.
    """
    if backend not in BACKENDS:
        raise InvalidInputError(f"backend is {backend!r}; expected one of {', '.join(map(repr, BACKENDS))}")
    if backend == "cuda":
        _require_cuda()
    elif backend == "dask":
        _require_dask()
    return "cpu" if backend == "auto" else backend


def _require_dask() -> None:
    for package in ("dask", "distributed"):
        if find_spec(package) is None:
            raise BackendUnavailableError(
                f"backend is 'dask', but the package {package} is not installed; "
                "expected it from pip install 'fastpatch[sweep]'"
            )


def _require_cuda() -> None:
    """Raise one sentence with the remedy for the first thing that is missing."""
    if find_spec("numba_cuda") is None:
        raise _unavailable(f"the package numba-cuda is not installed; expected it from {_INSTALL}")
    from numba.core import config

    if config.ENABLE_CUDASIM:  # type: ignore[attr-defined]  # set at run time
        return
    try:
        from cuda import pathfinder
        from numba import cuda
    except ImportError as error:
        raise _unavailable(
            f"the package numba-cuda cannot be imported ({_line(error)}); expected it complete, from {_INSTALL}"
        ) from None
    cuda.is_available()
    fault = cuda.cuda_error()
    if fault is not None and "NO_DEVICE" in fault:
        raise _unavailable(
            "the NVIDIA driver finds no GPU; expected one in this machine, shown by nvidia-smi and not hidden by "
            "CUDA_VISIBLE_DEVICES"
        )
    if fault is not None:
        raise _unavailable(
            f"there is no working NVIDIA driver ({_line(fault)}); expected one that nvidia-smi can talk to, from "
            "https://www.nvidia.com/drivers"
        )
    for library in ("nvvm", "nvrtc"):
        try:
            pathfinder.load_nvidia_dynamic_lib(library)
        except RuntimeError:
            raise _unavailable(
                f"the CUDA compiler library {library} is not installed; expected the CUDA toolkit or {_INSTALL}"
            ) from None


def _unavailable(reason: str) -> BackendUnavailableError:
    return BackendUnavailableError(f"backend is 'cuda', but {reason}")


def _line(text: object) -> str:
    """A driver's message on one line, without its full stop."""
    return " ".join(str(text).split()).rstrip(".")
