"""Decided information against closed forms of Gaussians and quadrature of mixtures."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from fastpatch.analysis import (
    decided_information,
    information_rate,
    information_rate_by_shell,
    label_entropy,
    wave_number_shells,
)
from fastpatch.errors import DtypeError, InvalidInputError

SIGMA = np.geomspace(60.0, 0.05, 81)


def mixture_information(means, spreads, sigma):
    """I(c; x) of equally likely normal classes at a noise level, by quadrature of the entropies."""
    widths = np.sqrt(np.asarray(spreads) ** 2 + sigma**2)

    def density(x, c):
        return math.exp(-0.5 * ((x - means[c]) / widths[c]) ** 2) / (widths[c] * math.sqrt(2 * math.pi))

    def integrand(x):
        each = [density(x, c) for c in range(len(means))]
        mixed = sum(each) / len(each)
        return sum(p * math.log(p / mixed) for p in each if p > 0.0) / len(each)

    reach = max(abs(m) for m in means) + 12.0 * widths.max()
    edges = np.linspace(-reach, reach, 41)
    return sum(quad(integrand, a, b, epsabs=1e-12)[0] for a, b in pairwise(edges))


def mixture_runs(means, spreads, sigma, n, seed):
    """x0, D_c and D_u of n one-pixel images of the mixture at every level: arrays (S, n)."""
    rng = np.random.default_rng(seed)
    means, spreads = np.asarray(means), np.asarray(spreads)
    labels = rng.integers(len(means), size=n)
    x0 = means[labels] + spreads[labels] * rng.normal(size=n)
    x = x0 + sigma[:, None] * rng.normal(size=n)
    variances = spreads**2 + sigma[:, None] ** 2
    log_weights = -0.5 * (x[..., None] - means) ** 2 / variances[:, None] - 0.5 * np.log(variances[:, None])
    weights = np.exp(log_weights - log_weights.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    by_class = means + (spreads**2 / variances)[:, None] * (x[..., None] - means)
    conditional = np.take_along_axis(by_class, np.broadcast_to(labels[:, None], (len(sigma), n, 1)), axis=-1)[..., 0]
    return x0, conditional, (weights * by_class).sum(axis=-1)


def images(values):
    """One-pixel images (..., 1, 1, 1)."""
    return np.asarray(values)[..., None, None, None]


@pytest.mark.parametrize(("means", "spreads"), [((-1.0, 1.0), (0.0, 0.0)), ((-1.0, 0.5, 3.0), (0.3, 0.8, 0.1))])
def test_class_information_integrates_to_the_mutual_information(means, spreads):
    x0, conditional, unconditional = mixture_runs(means, spreads, SIGMA, 8000, seed=0)
    rates = information_rate(images(conditional - unconditional), SIGMA[:, None]).T
    found = decided_information(rates, SIGMA, entropy=math.log(len(means)), n_resamples=400)
    expected = mixture_information(means, spreads, SIGMA[-1])
    width = found.total_high - found.total_low
    assert width < 0.1 * expected
    assert abs(found.total - expected) < 0.75 * width + found.grid_error
    # What is left at a level in the middle.
    at = 40
    left = mixture_information(means, spreads, SIGMA[at])
    assert abs(found.cumulative[at] - left) < 0.05 * expected
    assert found.calibration == pytest.approx(found.total / math.log(len(means)))
    # The other form of the identity, by errors, agrees within its larger noise.
    reduction = information_rate(images(x0 - unconditional), SIGMA[:, None]) - information_rate(
        images(x0 - conditional), SIGMA[:, None]
    )
    assert abs(decided_information(reduction.T, SIGMA, n_resamples=1).total - expected) < 0.1 * expected


def test_two_points_decide_log_two_and_their_total_is_their_class():
    x0, _, unconditional = mixture_runs((-1.0, 1.0), (0.0, 0.0), SIGMA, 8000, seed=1)
    total = decided_information(information_rate(images(x0 - unconditional), SIGMA[:, None]).T, SIGMA, n_resamples=400)
    assert total.total_low - 1e-3 < math.log(2.0) < total.total_high + 1e-3


def test_gaussian_information_by_shell_is_half_the_logarithm_of_signal_to_noise():
    rng = np.random.default_rng(0)
    shape, sigma = (12, 9), np.geomspace(300.0, 0.2, 61)
    shells = wave_number_shells(shape)
    spectrum = 30.0 / (1.0 + shells) ** 2
    n = 400
    white = np.fft.rfft2(rng.normal(size=(n, *shape)))
    x0 = np.fft.irfft2(np.sqrt(spectrum) * white, s=shape)
    rates = np.empty((n, len(sigma), shells.max() + 1))
    for at, level in enumerate(sigma):
        x = x0 + level * rng.normal(size=x0.shape)
        denoised = np.fft.irfft2(spectrum / (spectrum + level**2) * np.fft.rfft2(x), s=shape)
        rates[:, at] = information_rate_by_shell((x0 - denoised)[:, None], level)
        np.testing.assert_allclose(
            rates[:, at].sum(axis=-1), information_rate(x0 - denoised, level, axes=2), rtol=1e-12
        )
    whole_plane = np.concatenate([shells, shells[:, 1 : 1 + (shape[1] - 1) // 2]], axis=1)
    for n_shell in range(shells.max() + 1):
        found = decided_information(rates[..., n_shell], sigma, n_resamples=400)
        modes = np.count_nonzero(whole_plane == n_shell)
        expected = 0.5 * modes * math.log1p(30.0 / (1.0 + n_shell) ** 2 / sigma[-1] ** 2)
        assert abs(found.total - expected) < 0.5 * (found.total_high - found.total_low) * 1.6 + found.grid_error


def test_the_window_holds_its_share_of_a_known_curve():
    # rate = 2 s / (1 + s)^2 with s = 1/sigma^2 is what s/(1 + s) decides: known quantiles.
    sigma = np.geomspace(1e3, 1e-3, 2001)
    s = sigma**-2.0
    rates = np.broadcast_to(2.0 * s / (1.0 + s) ** 2, (4, len(sigma)))
    found = decided_information(rates, sigma, share=0.8)
    assert found.total == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_allclose(found.window, [math.sqrt(0.9 / 0.1), math.sqrt(0.1 / 0.9)], rtol=1e-4)
    np.testing.assert_allclose(found.window_low, found.window_high)
    assert found.sigma_at(0.5) == pytest.approx(1.0, rel=1e-4)
    cut = decided_information(rates[:, 1500:], sigma[1500:], share=0.8, extrapolate=True)
    assert cut.above == pytest.approx(0.5 * rates[0, 1500])
    assert math.isinf(decided_information(np.array([[10.0, 0.1, 0.1]]), [3.0, 2.0, 1.0]).window[0])


def test_intervals_cover_and_shrink():
    rng = np.random.default_rng(0)
    sigma = np.array([4.0, 2.0, 1.0])
    covered = []
    for trial in range(100):
        rates = rng.exponential(size=(30, 3)) * np.array([0.2, 1.0, 0.5])
        found = decided_information(rates, sigma, n_resamples=400, seed=trial)
        covered.append(found.rate_low[1] < 1.0 < found.rate_high[1])
    assert 0.88 < np.mean(covered) < 1.0
    few = decided_information(rates[:3], sigma)
    assert np.isnan([few.total_low, few.total_high, *few.window_low, *few.rate_high]).all()
    assert few.total > 0.0


def test_shells_sort_wave_vectors_by_their_length():
    shells = wave_number_shells((6, 4))
    assert shells.shape == (6, 3)
    assert [shells[0, 0], shells[1, 0], shells[3, 0]] == [0, 1, 3]
    assert shells[0, 1] == 2  # 1/4 per site against 1/6
    assert shells[5, 1] == shells[1, 1] == round(math.hypot(1.0, 1.5))


def test_label_entropy():
    assert label_entropy(np.repeat(np.arange(10), 7)) == pytest.approx(math.log(10))
    assert label_entropy([3, 3, 3]) == 0.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: information_rate(np.ones((2, 1, 3, 3)), 0.0), InvalidInputError, "positive noise levels"),
        (lambda: information_rate(np.ones((2, 1, 3, 3)), [1.0, 2.0, 3.0]), InvalidInputError, "broadcasts"),
        (lambda: information_rate(np.ones((2, 1, 3, 3), dtype=int), 1.0), DtypeError, "float32 or float64"),
        (lambda: decided_information(np.ones((3, 4)), [2.0, 1.0]), InvalidInputError, "one entry a level"),
        (lambda: decided_information(np.full((3, 2), np.nan), [2.0, 1.0]), InvalidInputError, "NaN"),
        (lambda: decided_information(np.zeros((3, 2)), [2.0, 1.0]), InvalidInputError, "positive information"),
        (lambda: decided_information(np.ones((3, 2)), [1.0, 2.0]), InvalidInputError, "strictly decreasing"),
        (lambda: decided_information(np.ones((3, 2)), [2.0, 1.0], share=1.0), InvalidInputError, "share is 1.0"),
        (lambda: label_entropy([0.5, 1.0]), InvalidInputError, "integers"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
