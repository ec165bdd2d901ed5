"""How many steps to take between two chances to interrupt a run or to move a progress bar."""

import time
from collections.abc import Iterator

__all__ = ["paced"]

_SECONDS = 0.5


def paced(start: int, stop: int, least: int = 1) -> Iterator[range]:
    """Cut steps start … stop - 1 into windows of roughly half a second, whatever a step costs.

    A window is timed while the caller works on it, which fixes the next one's length, a multiple of ``least``.
    """
    size = least
    while start < stop:
        window = range(start, min(start + size, stop))
        begin = time.perf_counter()
        yield window
        elapsed = time.perf_counter() - begin
        fitting = min(4 * size, int(_SECONDS * size / max(elapsed, 1e-9)))
        start, size = window.stop, max(1, fitting // least) * least
