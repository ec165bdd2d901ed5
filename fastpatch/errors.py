"""Exceptions raised at the public border.

Each one is also the built-in exception that a NumPy user would expect, so ``except ValueError`` works.
Messages are one sentence naming what was found and what was expected.
"""

__all__ = [
    "BackendUnavailableError",
    "DtypeError",
    "FastpatchError",
    "InvalidInputError",
    "OutputError",
    "ResultFileError",
]


class FastpatchError(Exception):
    """Base class of every error that fastpatch raises on purpose."""


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
