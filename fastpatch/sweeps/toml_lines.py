"""Where in a TOML text a key is set; `tomllib` does not tell."""

import tomllib
from typing import Any

__all__ = ["line_of"]

# Characters that may be parsed to find a line: seconds of work.
_MOST = 20_000_000


def line_of(text: str, path: tuple[str, ...]) -> int | None:
    """Number, from 1, of the line on which the statement that first sets the key ``path`` begins; None if none does.

    A TOML document cut after any whole statement is one itself, and a key that is set stays set: so the statement that
    ends the shortest readable beginning of the text with the key is found by bisection. ``text`` must be valid TOML.
    None, too, where that would take too long.
    """
    lines = text.splitlines(keepends=True)
    left = _MOST

    def readable(count: int) -> tuple[int, dict[str, Any]]:
        """The longest readable beginning of at most ``count`` lines: its length, and what it says."""
        nonlocal left
        for length in range(count, 0, -1):
            beginning = "".join(lines[:length])
            left -= len(beginning)
            if left < 0:
                raise TimeoutError
            try:
                return length, tomllib.loads(beginning)
            except (ValueError, RecursionError):
                continue
        return 0, {}

    try:
        if not _has(readable(len(lines))[1], path):
            return None
        low, high = 0, len(lines)  # without the key, with it
        while high - low > 1:
            middle = (low + high) // 2
            if _has(readable(middle)[1], path):
                high = middle
            else:
                low = middle
        return readable(high - 1)[0] + 1
    except TimeoutError:
        return None


def _has(document: dict[str, Any], path: tuple[str, ...]) -> bool:
    found: Any = document
    for key in path:
        if not isinstance(found, dict) or key not in found:
            return False
        found = found[key]
    return True
