"""Where in a TOML text a key is set; `tomllib` does not tell."""

import tomllib
from typing import Any

__all__ = ["line_of"]


def line_of(text: str, path: tuple[str, ...]) -> int | None:
    """Number, from 1, of the line on which the statement that first sets the key ``path`` begins; None if none does.

    A TOML document cut after any whole statement is one itself, so the key is set by the statement that ends the
    shortest readable beginning of the text that has it. ``text`` must be valid TOML.
    """
    lines = text.splitlines(keepends=True)
    begins = 0
    for count in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        if _has(document, path):
            return begins + 1
        begins = count
    return None


def _has(document: dict[str, Any], path: tuple[str, ...]) -> bool:
    found: Any = document
    for key in path:
        if not isinstance(found, dict) or key not in found:
            return False
        found = found[key]
    return True
