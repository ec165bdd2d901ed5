"""Euler-Maruyama: every step against its formula, whole runs against the explicit sums, variances against theory."""

import dataclasses

import numpy as np
import oracle
import pytest
from cases import DICTIONARIES, DTYPES, MODELS_AND_SHAPES, SHAPES, forward_field, white_field

import fastpatch as fp
from fastpatch.noise import NoiseStream, standard_normals


def one_step(model, x, times, **options):
    """The state that one step of a run makes of the fields x (T, L1, L2)."""
    options = {"shape": x.shape[1:], "trajectories": len(x), "times": times, "dtype": x.dtype, **options}
    first = next(fp.states(model, **options))
    *_, last = fp.states(model, start=dataclasses.replace(first, x=x), **options)
    assert last.step == 1
    assert last.time == times[1]
    assert last.x.dtype == x.dtype
    return last.x


def explicit_step(model, x, times, seed=0, integrated_rate=None, rate=1.0):
    """x + b dt + sqrt(beta |dt|) eta with the oracle's drift, and how far rounding by eps could move it over eps."""
    parts = (model.dictionary.patterns, model.dictionary.prior)
    at, dt = times[0] if integrated_rate is None else integrated_rate, times[1] - times[0]
    field, noise = x.astype(np.float64), standard_normals(x.shape, seed=seed, dtype=np.float64)
    kick = np.sqrt(rate * -dt) * noise
    pull = -dt * rate * np.exp(-at / 2) / -np.expm1(-at)
    sensitivity = np.abs(field) * (1 - dt * rate / -np.expm1(-at)) + np.abs(kick)
    sensitivity += pull * (np.abs(parts[0]).max() + oracle.condition(field, at, *parts))
    return field + rate * oracle.drift(field, at, *parts) * dt + kick, sensitivity


@pytest.mark.parametrize(("dictionary", "shape"), MODELS_AND_SHAPES)
def test_a_step_is_the_explicit_formula(dictionary, shape, backend, dtype):
    model, grid = fp.PatchModel(dictionary), fp.log_time_grid()
    for k in (0, 600, 1200, 1999):
        times = grid[k : k + 2]
        x = forward_field(dictionary, shape, times[0], batch=(2,), seed=k).astype(dtype)
        expected, sensitivity = explicit_step(model, x, times)
        found = one_step(model, x, times, backend=backend)
        # float64: 1e-12. float32: a few roundings of each term, and of the logits, which the posterior passes on.
        assert (np.abs(found - expected) <= 4 * np.finfo(dtype).eps * sensitivity).all(), times
        if dtype == "float64":
            settled = 4 * np.finfo(dtype).eps * sensitivity < 1e-12
            assert settled.mean() > 0.9
            np.testing.assert_allclose(found[settled], expected[settled], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("rate", "integral"),
    [(0.3, lambda t: 0.3 * t), (2.5, lambda t: 2.5 * t), (lambda t: 0.4 + 0.3 * t, lambda t: 0.4 * t + 0.15 * t**2)],
    ids=["0.3", "2.5", "0.4 + 0.3 t"],
)
def test_a_step_under_another_noise_rate(rate, integral, backend, dtype):
    dictionary, times = DICTIONARIES["real-valued"], [1.3, 1.25]
    model = fp.PatchModel(dictionary, schedule=fp.VPSchedule(rate))
    x = white_field(SHAPES["odd"], batch=(2,)).astype(dtype)
    beta = rate(times[0]) if callable(rate) else rate
    expected, sensitivity = explicit_step(model, x, times, integrated_rate=integral(times[0]), rate=beta)
    # A callable rate is integrated by quadrature, to 1e-10.
    tolerance = max(4 * np.finfo(dtype).eps, 1e-9 if callable(rate) else 0.0)
    assert (np.abs(one_step(model, x, times, backend=backend) - expected) <= tolerance * sensitivity).all()


def explicit_run(dictionary, times, shape, trajectories, seed, first_trajectory):
    options = {"seed": seed, "first_trajectory": first_trajectory, "dtype": np.float64}
    x = standard_normals((trajectories, *shape), stream=NoiseStream.INITIAL, **options)
    yield x
    for k, (t, dt) in enumerate(zip(times[:-1], np.diff(times), strict=True)):
        noise = standard_normals(x.shape, step=k, **options)
        x = x + oracle.drift(x, t, dictionary.patterns, dictionary.prior) * dt + np.sqrt(-dt) * noise
        yield x


@pytest.mark.parametrize("name", ["18 patterns", "10 without flips", "real-valued", "3x3"])
def test_a_whole_run_is_the_explicit_one(name, backend, dtype):
    dictionary, times, shape = DICTIONARIES[name], fp.log_time_grid(steps=150), (18, 21)
    options = {"seed": 7, "trajectories": 3, "first_trajectory": 4}
    run = fp.states(fp.PatchModel(dictionary), shape, times=times, dtype=dtype, backend=backend, **options)
    # Rounding errors grow with the fields' own instability while the pattern forms, by a few orders of magnitude.
    tolerance = 1e-10 if dtype == "float64" else 1e-2
    for k, (state, x) in enumerate(zip(run, explicit_run(dictionary, times, shape, **options), strict=True)):
        assert (state.step, state.time) == (k, times[k])
        np.testing.assert_allclose(state.x, x, rtol=0, atol=tolerance, err_msg=f"t = {times[k]}")


class Linear:
    """A model outside the package: the score -g x of Gaussian data, in plain NumPy."""

    def __init__(self, gain, rate=1.0):
        self.gain = gain
        self.schedule = fp.VPSchedule(rate)

    def score(self, x, t):
        return -self.gain(t) * x

    def drift(self, x, t):
        return (self.schedule.rate(t) * (self.gain(t) - 0.5) * x).astype(x.dtype)


def no_data(rate=1.0):
    """The patch machine whose only pattern is zero: no data term, x ~ N(0, sigma^2), an Ornstein-Uhlenbeck process."""
    return fp.PatchModel(fp.PatchDictionary(np.zeros((1, 1, 1))), schedule=fp.VPSchedule(rate))


def discrete_variances(times, gain, rate=1.0):
    """The exact variance of Euler-Maruyama itself: V <- (1 + beta (g - 1/2) dt)^2 V + beta |dt|, from V = 1."""
    variances = [1.0]
    for t, dt in zip(times[:-1], np.diff(times), strict=True):
        variances.append((1 + rate * (gain(t) - 0.5) * dt) ** 2 * variances[-1] - rate * dt)
    return np.array(variances)


def assert_variance(x, expected):
    # Five standard errors of the variance of Gaussian sites, which are independent in these models.
    assert np.var(x, dtype=np.float64) == pytest.approx(expected, rel=5 * np.sqrt(2 / x.size))
    assert abs(np.mean(x, dtype=np.float64)) < 5 * np.sqrt(expected / x.size)


def inverse_sigma2(t):
    return -1 / np.expm1(-t)


SOLVABLE = {
    "no data term, fused kernel": (no_data(), inverse_sigma2, 1.0),
    "no data term, beta = 0.4": (no_data(0.4), lambda t: inverse_sigma2(0.4 * t), 0.4),
    "no data term, any model": (Linear(inverse_sigma2), inverse_sigma2, 1.0),
    "white data of unit variance": (Linear(lambda t: 1.0), lambda t: 1.0, 1.0),
}


@pytest.mark.parametrize("name", sorted(SOLVABLE))
@pytest.mark.parametrize("dtype", DTYPES)
def test_variance_follows_its_exact_recursion(name, dtype):
    model, gain, rate = SOLVABLE[name]
    times = fp.log_time_grid(20.0, 0.01, 80)
    expected = discrete_variances(times, gain, rate)
    for state in fp.states(model, (160, 200), 4, times=times, seed=3, dtype=dtype, every=16):
        assert_variance(state.x, expected[state.step])


def test_ornstein_uhlenbeck_limit_has_the_variance_of_the_forward_process():
    # With fine steps the variance at every time is sigma^2(t), and stays 1 for white data of unit variance.
    times = fp.log_time_grid(50.0, 0.05, 1200)
    for model, exact in ((no_data(), lambda t: -np.expm1(-t)), (Linear(lambda t: 1.0), lambda t: 1.0)):
        for state in fp.states(model, (128, 128), 2, times=times, seed=1, every=300):
            assert np.var(state.x) == pytest.approx(exact(state.time), rel=5 * np.sqrt(2 / state.x.size) + 0.01)


def exact_variance(t, t_max):
    """Of dx = (1/sigma^2 - 1/2) x dt + dW from variance 1 at t_max, solved by the integrating factor."""

    def sigma2(s):
        return -np.expm1(-s)

    decay = (np.expm1(t) / np.expm1(t_max)) ** 2 * np.exp(t_max - t)
    return sigma2(t) + (1 - sigma2(t_max)) * decay


@pytest.mark.parametrize("model", [no_data(), Linear(inverse_sigma2)], ids=["fused kernel", "any model"])
def test_weak_order_of_convergence_is_one(model):
    # The error of the variance at t = 0.2, measured with about a million sites: at 8 to 64 steps it is 20 to 2 per
    # cent, far above the 0.14 per cent that sampling adds.
    t_max, t_min, steps = 4.0, 0.2, np.array([8, 16, 32, 64])
    errors = []
    for count in steps:
        times = fp.log_time_grid(t_max, t_min, int(count))
        *_, last = fp.states(model, (512, 512), 4, times=times, seed=int(count), every=int(count))
        errors.append(np.var(last.x, dtype=np.float64) - exact_variance(t_min, t_max))
    order = -np.polyfit(np.log(steps), np.log(np.abs(errors)), 1)[0]
    assert 0.85 < order < 1.15
    assert np.abs(errors[-1]) < 0.05 * exact_variance(t_min, t_max)


def test_noiseless_part_of_a_step_converges_with_the_step_too():
    # Two runs with the same noise from different fields: their difference obeys the linear flow exactly.
    model, (t_max, t_min) = no_data(), (4.0, 0.2)
    exact = np.sqrt((np.expm1(t_min) / np.expm1(t_max)) ** 2 * np.exp(t_max - t_min))
    errors = []
    for count in (50, 100, 200, 400):
        options = {
            "shape": (4, 4),
            "trajectories": 1,
            "times": fp.log_time_grid(t_max, t_min, count),
            "dtype": "float64",
        }
        first = next(fp.states(model, **options))
        ends = []
        for shift in (0.0, 1.0):
            start = dataclasses.replace(first, x=first.x + shift)
            *_, last = fp.states(model, start=start, every=count, **options)
            ends.append(last.x)
        spread = ends[1] - ends[0]
        np.testing.assert_allclose(spread, spread[0, 0, 0], rtol=1e-12)
        errors.append(spread[0, 0, 0] - exact)
    ratios = np.array(errors[:-1]) / errors[1:]
    np.testing.assert_allclose(ratios, 2.0, atol=0.1)
    assert (np.abs(np.diff(np.abs(ratios - 2.0))) < 0.1).all()
