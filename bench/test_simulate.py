"""The paper's Figure 3 (top) end to end: four trajectories of 2000 steps on 80 x 80 sites."""

from typing import Any

import pytest

import fastpatch as fp
from bench.cases import SEED, patch_model

_STEPS = 2000
_SITE_STEPS = 4 * 80 * 80 * _STEPS

_THREADS = pytest.mark.parametrize("threads", [1, 2], indirect=True, ids=["1 thread", "2 threads"])


@_THREADS
def test_simulate_every_observable_at_every_step(measure: Any, threads: int) -> None:
    measure(lambda: fp.simulate(patch_model(), seed=SEED), site_steps=_SITE_STEPS, seconds=5.0)


@_THREADS
def test_simulate_no_observables(measure: Any, threads: int) -> None:
    def run() -> None:
        for _ in fp.states(patch_model(), seed=SEED, every=_STEPS):
            pass

    measure(run, site_steps=_SITE_STEPS, seconds=5.0)
