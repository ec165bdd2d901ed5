"""Exceptions raised at the public border.

Each one is also the built-in exception that a NumPy user would expect, so ``except ValueError`` works.
Messages are one sentence naming what was found and what was expected.
"""

from .messages import one_line

__all__ = [
    "BackendUnavailableError",
    "DtypeError",
    "FastpatchError",
    "InvalidInputError",
    "OutputError",
    "ResultFileError",
    "SchedulerError",
    "SweepError",
    "VersionMismatchError",
]


class FastpatchError(Exception):
    """Base class of every error raised on purpose; the message is one printable line, whatever it quotes."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class InvalidInputError(FastpatchError, ValueError):
    """A value, shape or option outside what the called function accepts."""


class DtypeError(FastpatchError, TypeError):
    """An array or option of a type that the called function does not compute in."""


class BackendUnavailableError(FastpatchError, RuntimeError):
    """A known backend that this machine or installation cannot run."""


class ResultFileError(FastpatchError, OSError):
    """A result or checkpoint file that is missing, truncated or not one of fastpatch's."""


class OutputError(FastpatchError, OSError):
    """A directory or file that cannot be written."""


class SchedulerError(FastpatchError, ConnectionError):
    """A Dask scheduler that cannot be reached, or no longer."""


class VersionMismatchError(FastpatchError, RuntimeError):
    """Versions that would have to agree for results to be the same, and do not."""


class SweepError(FastpatchError, RuntimeError):
    """A sweep that ended with points unfinished; what is finished is kept."""
