"""One step, timed repeatedly and slowed by half: not of the suite, but for the test that a slowdown is noticed."""

from typing import Any

import pytest

from bench.cases import CRITICAL, evolved_field, stepper

_SIDE = 32
_STEPS = 32

# In this order, so that a drift of the machine is not taken for a difference between the groups.
_BASELINE = ["baseline"] * 3
_ORDER = [*_BASELINE, "unchanged", "slowed", *_BASELINE, "unchanged", "slowed", *_BASELINE, "unchanged", "slowed"]


@pytest.mark.parametrize("group", _ORDER, ids=[f"{group} {at}" for at, group in enumerate(_ORDER)])
def test_step(measure: Any, threads: int, group: str) -> None:
    steps = _STEPS * 3 // 2 if group == "slowed" else _STEPS
    reset, advance = stepper(evolved_field(CRITICAL, _SIDE), CRITICAL, steps)
    measure(advance, reset=reset, site_steps=_STEPS * _SIDE**2, rounds=100)
