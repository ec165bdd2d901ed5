"""What the engine of sweeps may cost at most. The machine has to be otherwise idle."""

import os

import pytest

from bench.sweep_scaling import restart_seconds, time_sweep

pytestmark = pytest.mark.slow


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="takes two cores")
def test_two_workers_are_nearly_twice_as_fast_as_one():
    one, two = (time_sweep(200, 2, workers) for workers in (1, 2))
    assert one.wall / two.wall >= 1.8


def test_points_of_a_second_cost_little_more_than_their_runs():
    timing = time_sweep(20, 8, 1)
    assert timing.runs / timing.points > 0.3
    assert timing.overhead < 0.05


def test_a_finished_sweep_is_recognised_at_once():
    assert restart_seconds(200) < 3.0
