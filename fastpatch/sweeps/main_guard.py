"""A script that starts workers is imported by each of them, and must not start more of them then."""

import multiprocessing

from ..errors import SchedulerError

__all__ = ["UNGUARDED", "require_main_guard"]

UNGUARDED = (
    'the script that calls this does it without `if __name__ == "__main__"`, and every worker, which imports it, would '
    "do it again; expected the guard"
)


def require_main_guard() -> None:
    """Raise `SchedulerError` in a process that is only just importing the script of the one that started it."""
    # As `multiprocessing` itself asks.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SchedulerError(UNGUARDED)
