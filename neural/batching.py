"""Work on many images in batches that fit into memory."""

from collections.abc import Callable
from typing import TypeVar

import torch

from ..errors import BackendUnavailableError

__all__ = ["in_batches"]

_Result = TypeVar("_Result")


def in_batches(compute: Callable[[slice], _Result], count: int, batch: int) -> list[_Result]:
    """The results of ``compute`` on consecutive slices of at most ``batch`` of ``count`` images, in their order.

    Where CUDA runs out of memory, the slice is computed again in halves, and no later one is larger.
    Raises `BackendUnavailableError` where a single image does not fit.
    """
    results: list[_Result] = []
    start = 0
    while start < count:
        part = slice(start, min(start + batch, count))
        try:
            results.append(compute(part))
        except torch.cuda.OutOfMemoryError:
            size = part.stop - start
        else:
            start = part.stop
            continue
        # Out of the handler, whose exception keeps alive the tensors that did not fit.
        torch.cuda.empty_cache()
        if size == 1:
            raise BackendUnavailableError(
                "the GPU has not enough free memory for a single image; expected a smaller network or device 'cpu'"
            )
        batch = (size + 1) // 2
    return results
