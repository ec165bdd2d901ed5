"""The bare Euler-Maruyama step of the patch machine, noise included, nothing recorded."""

from typing import Any

import pytest

from bench.cases import CRITICAL, evolved_field, stepper
from fastpatch.threads import thread_limit

_SITE_STEPS = 2**17


def _steps(sites: int) -> int:
    """Steps in a call: about a millisecond, so that some calls of many escape whatever else the machine does."""
    return max(1, _SITE_STEPS // sites)


@pytest.mark.parametrize("threads", [1, 2], indirect=True, ids=["1 thread", "2 threads"])
@pytest.mark.parametrize(
    ("trajectories", "side"),
    [(1, 80), (4, 80), (64, 80), (1, 1024), (1, 4096)],
    ids=["1x80x80", "4x80x80", "64x80x80", "1x1024x1024", "1x4096x4096"],
)
def test_step(measure: Any, threads: int, trajectories: int, side: int) -> None:
    x = evolved_field(CRITICAL, side, trajectories)
    steps = _steps(x.size)
    reset, advance = stepper(x, CRITICAL, steps)

    def on_one_thread() -> None:
        with thread_limit(1):
            advance()

    against = on_one_thread if threads > 1 else None
    measure(advance, reset=reset, site_steps=steps * x.size, against=against, seconds=2.0)


@pytest.mark.parametrize("t", [30.0, 0.3, 0.005], ids=["t=30", "t=0.3", "t=0.005"])
def test_step_elsewhere_in_the_run(measure: Any, threads: int, t: float) -> None:
    x = evolved_field(t, 80, 4)
    steps = _steps(x.size)
    reset, advance = stepper(x, t, steps)
    measure(advance, reset=reset, site_steps=steps * x.size)
