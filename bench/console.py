"""How the programs of this folder speak: tables, durations, one sentence for what went wrong."""

import sys
from collections.abc import Callable, Sequence

from fastpatch.errors import FastpatchError

__all__ = ["BenchmarkError", "columns", "duration", "run_main"]


class BenchmarkError(FastpatchError, RuntimeError):
    """A benchmark that failed, or timings that cannot be compared."""


def run_main(main: Callable[[], int | None]) -> None:
    """Exit with what ``main`` returns, or with status 2 and one sentence if it raises one of fastpatch's errors."""
    try:
        sys.exit(main())
    except FastpatchError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def duration(seconds: float) -> str:
    """Seconds with a unit of their size."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3f} {unit}"
    return f"{seconds * 1e9:.1f} ns"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as a table, the first column flush left, the others flush right, a rule under the header."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
