"""How often intervals of critical points hold the true value: the table of docs/statistics.md on a smaller lattice."""

import numpy as np
import pytest
from test_information import images, mixture_runs

import fastpatch as fp
from fastpatch.analysis import critical_points, decided_information, information_rate


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


@pytest.mark.slow
def test_intervals_of_decided_information_cover_as_often_as_they_say():
    """Of images of 16 independent pixels with one class each: the table of docs/statistics.md, smaller."""
    sigma = np.geomspace(60.0, 0.05, 25)
    rates = np.zeros((20_000, len(sigma)))
    for pixel in range(16):
        _, conditional, unconditional = mixture_runs((-1.0, 0.5, 3.0), (0.3, 0.8, 0.1), sigma, len(rates), pixel)
        rates += information_rate(images(conditional - unconditional), sigma[:, None]).T
    true = decided_information(rates, sigma, n_resamples=2)
    rng = np.random.default_rng(1)
    hits = []
    for trial in range(150):
        found = decided_information(rates[rng.integers(len(rates), size=8)], sigma, n_resamples=400, seed=trial)
        ends = (found.window_low <= true.window) & (true.window <= found.window_high)
        hits.append([found.total_low <= true.total <= found.total_high, *ends])
    # 150 trials: 0.95 has a standard error of 0.018. Percentile intervals hold the lower end in about three of four.
    assert (np.mean(hits, axis=0) > 0.88).all()
    assert (np.mean(hits, axis=0) < 1.0).any()
