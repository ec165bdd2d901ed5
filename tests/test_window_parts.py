"""Runs guided in every interval at once against single runs; grids of equal information against their definition."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from gaussian_denoiser import GaussianDenoiser, power_law  # noqa: E402

from fastpatch.errors import InvalidInputError  # noqa: E402
from fastpatch.neural import sample, sigma_grid  # noqa: E402
from fastpatch.neural.window.interval_grid import interval_samples  # noqa: E402
from fastpatch.neural.window.step_grid import entropic_levels  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def test_every_interval_is_the_run_guided_there():
    net, guide = GaussianDenoiser(power_law(8)), GaussianDenoiser(0.5 * power_law(8) + 0.2)
    grid = sigma_grid(5, 20.0, 0.05)
    noise = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    weights = (1.0, 3.0)
    found = interval_samples(net, guide, noise, None, grid, weights, batch=4)
    assert len(found.guided) == 2 * 15
    plain = sample(net, noise, sigmas=grid[:-1], solver="euler")
    torch.testing.assert_close(found.unguided, plain.images)
    for (weight, first, last), images in found.guided.items():

        def w(sigma, low=grid[last], high=grid[first], value=weights[weight]):
            return value if low <= sigma <= high else 0.0

        alone = sample(net, noise, guide=guide, guidance=w, sigmas=grid[:-1], solver="euler")
        torch.testing.assert_close(images, alone.images, rtol=1e-4, atol=1e-5)
    assert found.evaluations < 0.5 * 2 * 15 * 3 * 10


def test_entropic_levels_hold_equal_information():
    sigma = np.geomspace(80.0, 0.01, 40)
    rate = np.exp(-(np.log(sigma / 2.0) ** 2) / 2.0)
    levels = entropic_levels(sigma, rate, 12, uniform=1e-9)
    fine = np.geomspace(80.0, 0.01, 200001)
    total = np.exp(-(np.log(fine / 2.0) ** 2) / 2.0)
    passed = np.concatenate([[0.0], np.cumsum(0.5 * (total[1:] + total[:-1]) * -np.diff(np.log(fine)))])
    steps = np.diff(np.interp(-np.log(levels), -np.log(fine), passed))
    np.testing.assert_allclose(steps, passed[-1] / 11, rtol=0.02)
    uniform = entropic_levels(sigma, rate, 12, uniform=1.0)
    np.testing.assert_allclose(np.diff(np.log(uniform)), np.log(0.01 / 80.0) / 11, rtol=1e-3)
    for bad in ({"rate": np.zeros(40)}, {"rate": rate[:5]}, {"uniform": 0.0}, {"steps": 1}):
        with pytest.raises(InvalidInputError):
            entropic_levels(**{"sigma": sigma, "rate": rate, "steps": 12, **bad})
