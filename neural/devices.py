"""Where torch computes, and in which precision it trains fastest there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from ..errors import BackendUnavailableError, InvalidInputError
from ..provenance import cpu_name

__all__ = ["Precision", "default_precision", "device_name", "evaluating", "reproducible", "resolve_device"]

Precision = Literal["float32", "bfloat16"]


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """``"cpu"`` or ``"cuda"`` (optionally with an index, ``"cuda:1"``); None is CUDA where there is one.

    Raises `InvalidInputError` for another name and `BackendUnavailableError` for CUDA that is not there.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise InvalidInputError(f"device is {str(device)!r}; expected 'cpu', 'cuda' or 'cuda:N'")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise BackendUnavailableError(
            f"device is {str(found)!r}, but torch {torch.__version__} finds {torch.cuda.device_count()} CUDA devices; "
            "expected device 'cpu', or a CUDA build of torch on a machine with such a GPU"
        )
    return found


def default_precision(device: torch.device) -> Precision:
    """bfloat16 (by autocast) where the hardware multiplies matrices in it, float32 elsewhere.

    On a CPU that means AVX-512 BF16 or AMX: measured 1.6 and 3.5 times as fast as float32. Without these, bfloat16
    is emulated and slower. Versions of torch without ``torch.cpu.get_capabilities`` get float32.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = _cpu_capabilities()
        native = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return "bfloat16" if native else "float32"


def device_name(device: torch.device) -> str:
    """The device in words, with the number of threads on which a CPU's rounding depends."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{cpu_name()}, {threads} thread{'' if threads == 1 else 's'}"


@contextmanager
def reproducible(device: torch.device, *, tf32: bool = True) -> Iterator[None]:
    """Convolutions that give the same bits every time; the CPU's always do for one number of threads.

    ``tf32=False`` keeps a GPU from rounding the factors of float32 convolutions to ten bits, as it does by default.
    """
    if device.type == "cuda":
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32):
            yield
    else:
        yield


@contextmanager
def evaluating(device: torch.device) -> Iterator[None]:
    """Reproducible evaluations in the precision of their arguments: neither TF32 nor the caller's autocast.

    Not for training: within it, an autocast would keep its bfloat16 copies of the weights from step to step.
    """
    with torch.autocast(device.type, enabled=False), reproducible(device, tf32=False):
        yield


def _cpu_capabilities() -> dict[str, Any]:
    query = getattr(torch.cpu, "get_capabilities", None)
    return dict(query()) if query is not None else {}
