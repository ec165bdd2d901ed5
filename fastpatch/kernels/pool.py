"""Plain Python threads that share the work of one kernel call.

A kernel is serial code that runs without the interpreter's lock, and several threads may be in it at once: each is
told, by a `Crew`, which of how many it is, and they share out the work between them. The calling thread always works;
as many helpers join it as are idle, so any number of threads may call at once and none of them waits for a helper.
A process has none while it forks, and its child starts with none. What a kernel computes does not depend on how many
work on it.
"""

import os
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import numpy as np

from ..threads import available_threads, get_threads
from .arguments import Crew

__all__ = ["BOARD", "GIVEN_UP", "share"]

# Words of a crew's board: how often anybody has come to a meeting, the next task to be claimed, and whether somebody
# has failed and the others should stop waiting. They lie on cache lines of their own.
ARRIVED, CLAIMED, GIVEN_UP, BOARD = 0, 8, 16, 24

# Seconds of work that are worth waking a thread for.
_LEAST_SHARE = 1e-4


class _Helper:
    """A thread that does one task after another; in between it is in `_idle`."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name="fastpatch-helper", daemon=True)
        self._thread.start()

    def begin(self, kernel: Any, crew: Crew, arguments: tuple[Any, ...], finished: "SimpleQueue[Any]") -> None:
        """Call the kernel, and then tell ``finished`` of it, with the exception if there was one."""
        self._tasks.put((kernel, crew, arguments, finished))

    def retire(self) -> None:
        """End the thread, which has nothing to do."""
        self._tasks.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            kernel, crew, arguments, finished = task
            failure = None
            try:
                kernel(crew, *arguments)
            except BaseException as error:
                crew.board[GIVEN_UP] = 1
                failure = error
            _give_back(self)
            finished.put(failure)
            # Nothing of a task stays alive while its thread waits for the next one.
            del task, kernel, crew, arguments, finished, failure


_lock = Lock()
_idle: set[_Helper] = set()
_helpers = 0


def share(kernel: Any, *arguments: Any, most: int, seconds: float) -> None:
    """Call ``kernel(crew, *arguments)`` in this thread and in idle helpers, until all have returned.

    At most ``most`` threads take part, and fewer where the ``seconds`` of work for one thread are not worth them.
    """
    workers = min(most, int(seconds / _LEAST_SHARE))
    helpers = _borrow(min(workers, get_threads()) - 1) if workers > 1 else []
    board = np.zeros(BOARD, dtype=np.int64)
    if not helpers:
        kernel(Crew(0, 1, board), *arguments)
        return
    workers = 1 + len(helpers)
    finished: SimpleQueue[BaseException | None] = SimpleQueue()
    begun = 0
    try:
        for helper in helpers:
            helper.begin(kernel, Crew(begun + 1, workers, board), arguments, finished)
            begun += 1
        kernel(Crew(0, workers, board), *arguments)
    except BaseException:
        board[GIVEN_UP] = 1
        raise
    finally:
        for helper in helpers[begun:]:
            _give_back(helper)
        _await(finished, begun)


def _await(finished: "SimpleQueue[BaseException | None]", count: int) -> None:
    """Wait for helpers, also through an interrupt: they write into arrays that the caller goes on with."""
    raised: BaseException | None = None
    while count:
        try:
            failure = finished.get()
        except BaseException as interrupt:
            raised = interrupt
        else:
            count -= 1
            raised = raised or failure
    if raised is not None:
        raise raised


def _borrow(most: int) -> list[_Helper]:
    """Up to so many helpers that have nothing to do, started now if this process may have more of them."""
    global _helpers
    borrowed: list[_Helper] = []
    with _lock:
        while len(borrowed) < most:
            if _idle:
                borrowed.append(_idle.pop())
            elif _helpers < available_threads() - 1:
                try:
                    borrowed.append(_Helper())
                except RuntimeError:  # no more threads for this process, or the interpreter is on its way out
                    break
                _helpers += 1
            else:
                break
    return borrowed


def _give_back(helper: _Helper) -> None:
    with _lock:
        _idle.add(helper)


def _retire_idle() -> None:
    """Before a fork: Python warns of one in a process of several threads."""
    global _helpers
    with _lock:
        retired = list(_idle)
        _idle.clear()
        _helpers -= len(retired)
    for helper in retired:
        helper.retire()


def _forget() -> None:
    """In a forked child, where only the thread that forked goes on."""
    global _lock, _idle, _helpers
    _lock, _idle, _helpers = Lock(), set(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_retire_idle, after_in_child=_forget)
