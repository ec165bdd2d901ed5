"""How a benchmark is timed: round by round, each preceded by one pass of the yardstick."""

import os
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.calibration import time_calibration
from fastpatch.threads import available_threads, thread_limit

_ROUNDS = (5, 500)
_YARDSTICKS = 60


def _nothing() -> None:
    pass


class Measure:
    """Times a function with pytest-benchmark; what else a record needs goes to ``extra_info``.

    - ``calibration``: the shortest pass of the yardstick among those taken before every round;
    - ``site_steps``: how often a site is updated or looked at in a call, if given;
    - ``images``: how many images a network sees in a call, if given;
    - ``speedup``: the shortest call of ``against``, taken before every round too, over the function's own shortest.
    """

    def __init__(self, benchmark: BenchmarkFixture) -> None:
        self._benchmark: Any = benchmark  # untyped

    def __call__(
        self,
        function: Callable[[], Any],
        *,
        reset: Callable[[], Any] = _nothing,
        site_steps: int | None = None,
        images: int | None = None,
        against: Callable[[], Any] | None = None,
        seconds: float = 1.0,
        rounds: int | None = None,
    ) -> None:
        """Time calls of ``function``, each after ``reset``, for about so many ``seconds`` or a number of ``rounds``.

        One call that is not counted comes first (with ``rounds`` given, none): it compiles and fills the caches.
        """
        if self._benchmark.disabled:
            reset()
            self._benchmark.pedantic(function)
            return
        if rounds is None:
            reset()
            function()
            reset()
            cost = _seconds(function)
            rounds = int(min(max(seconds / cost, _ROUNDS[0]), _ROUNDS[1]))
        yardsticks: list[float] = []
        rivals: list[float] = []

        def prepare() -> None:
            if against is not None:
                reset()
                rivals.append(_seconds(against))
            reset()
            yardsticks.extend(time_calibration() for _ in range(-(-_YARDSTICKS // rounds)))

        self._benchmark.pedantic(function, setup=prepare, rounds=rounds)
        information = self._benchmark.extra_info
        information["calibration"] = min(yardsticks)
        information["load"] = os.getloadavg()[0]
        if site_steps is not None:
            information["site_steps"] = site_steps
        if images is not None:
            information["images"] = images
        if against is not None:
            information["speedup"] = min(rivals) / self._benchmark.stats.stats.min


def _seconds(function: Callable[[], Any]) -> float:
    start = perf_counter()
    function()
    return perf_counter() - start


@pytest.fixture
def measure(benchmark: BenchmarkFixture) -> Measure:
    return Measure(benchmark)


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Any:
    """Numba's threads during the benchmark: one, or the number that the benchmark is parametrised with."""
    count = getattr(request, "param", 1)
    if count > available_threads():
        pytest.skip(f"{available_threads()} thread(s) here; this benchmark takes {count}")
    with thread_limit(count):
        yield count
