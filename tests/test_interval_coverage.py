"""How often intervals of critical points hold the true value: the table of docs/statistics.md on a smaller lattice."""

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.analysis import critical_points


@pytest.mark.slow
def test_intervals_of_eight_trajectories_cover_as_often_as_they_say():
    population = fp.simulate(
        fp.PatchModel(fp.PatchDictionary.random()), (24, 24), 512, fp.log_time_grid(20.0, 0.05, 120), snapshots=0
    )
    true = {name: point.time for name, point in critical_points(population, n_resamples=1).items()}
    rng = np.random.default_rng(0)
    hits = {name: [] for name in true}
    for _ in range(150):
        drawn = population.isel(trajectory=rng.integers(512, size=8))
        for name, point in critical_points(drawn, n_resamples=150).items():
            if not np.isnan(point.low):
                hits[name].append(point.low <= true[name] <= point.high)
    for name, held in hits.items():
        assert len(held) > 100, name
        # 150 trials: 0.95 has a standard error of 0.018.
        assert np.mean(held) > 0.90, name
    assert np.mean(hits["zero_mode_crossing"]) < 1.0
