"""The forward process and the reverse time grid against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpatch as fp
from fastpatch.errors import DtypeError, InvalidInputError


@pytest.mark.parametrize("beta", [1.0, 0.2, 3])
def test_constant_rate(beta):
    schedule, t = fp.VPSchedule(beta), np.array([[0.0, 1e-8, 1e-3], [0.5, 3.0, 50.0]])
    np.testing.assert_allclose(schedule.alpha(t), np.exp(-beta * t / 2), rtol=1e-15)
    # 1 - exp(-beta t) in 50 digits would lose nothing; -expm1 loses nothing either, 1 - exp all of it at 1e-8.
    np.testing.assert_allclose(schedule.sigma2(t), -np.expm1(-beta * t), rtol=1e-15)
    np.testing.assert_allclose(schedule.sigma2(1e-12), beta * 1e-12, rtol=1e-11)
    np.testing.assert_allclose(schedule.sigma(t) ** 2, schedule.sigma2(t), rtol=1e-15)
    np.testing.assert_allclose(schedule.alpha(t) ** 2 + schedule.sigma2(t), 1.0, rtol=1e-15)
    np.testing.assert_array_equal(schedule.rate(t), np.full(t.shape, beta))


def test_scalars_stay_scalars():
    for beta in (1.0, lambda t: 1.0 + t):
        schedule = fp.VPSchedule(beta)
        for method in (schedule.alpha, schedule.sigma, schedule.sigma2, schedule.rate, schedule.integrated_rate):
            assert type(method(2.0)) is float
            assert method(np.array([2.0])).shape == (1,)


RATES = {
    "linear": (lambda t: 0.1 + 0.3 * t, lambda t: 0.1 * t + 0.15 * t**2),
    "periodic": (lambda t: 1.0 + 0.5 * math.sin(t), lambda t: t + 0.5 * (1.0 - np.cos(t))),
    "stepwise": (lambda t: 1.0 if t < 0.7 else 5.0, lambda t: np.where(t < 0.7, t, 0.7 + 5.0 * (t - 0.7))),
    "decaying": (lambda t: math.exp(-t), lambda t: -np.expm1(-t)),
}


@pytest.mark.parametrize("name", sorted(RATES))
def test_callable_rate_is_integrated(name):
    rate, integral = RATES[name]
    schedule, t = fp.VPSchedule(rate), np.array([3.0, 0.0, 1e-3, 3.0, 0.7, 20.0])
    np.testing.assert_allclose(schedule.integrated_rate(t), integral(t), rtol=1e-9)
    np.testing.assert_allclose(schedule.alpha(t), np.exp(-integral(t) / 2), rtol=1e-8)
    np.testing.assert_allclose(schedule.sigma2(t), -np.expm1(-integral(t)), rtol=1e-8)
    np.testing.assert_array_equal(schedule.rate(t), [rate(s) for s in t])


@pytest.mark.parametrize("beta", [0.7, lambda t: 0.2 + t], ids=["constant", "callable"])
def test_time_of_inverts_the_integral(beta):
    schedule = fp.VPSchedule(beta)
    for t in (0.0, 1e-3, 0.4, 3.26, 40.0):
        assert schedule.time_of(schedule.integrated_rate(t)) == pytest.approx(t, rel=1e-9, abs=1e-12)


def test_log_time_grid_is_eq_41():
    grid = fp.log_time_grid()
    assert grid.shape == (2001,)
    assert grid.dtype == np.float64
    assert (grid[0], grid[-1]) == (50.0, 1e-3)
    k = np.arange(2001)
    expected = np.exp(math.log(50.0) + k / 2000 * (math.log(1e-3) - math.log(50.0)))
    np.testing.assert_allclose(grid, expected, rtol=1e-13)


@given(
    t_min=st.floats(1e-6, 1e3),
    ratio=st.floats(1.001, 1e8),
    steps=st.integers(1, 500),
)
def test_log_time_grids_decrease_by_a_constant_factor(t_min, ratio, steps):
    grid = fp.log_time_grid(t_min * ratio, t_min, steps)
    assert grid.shape == (steps + 1,)
    assert (grid[0], grid[-1]) == (t_min * ratio, t_min)
    assert (np.diff(grid) < 0.0).all()
    np.testing.assert_allclose(grid[1:] / grid[:-1], ratio ** (-1 / steps), rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fp.VPSchedule(0.0), InvalidInputError, "beta is 0.0; expected a positive noise rate"),
        (lambda: fp.VPSchedule(-1), InvalidInputError, "beta is -1.0; expected a positive noise rate"),
        (lambda: fp.VPSchedule(math.nan), InvalidInputError, "beta is nan; expected a finite number"),
        (lambda: fp.VPSchedule("fast"), DtypeError, "beta is 'fast'; expected a number"),
        (lambda: fp.VPSchedule().alpha(-0.1), InvalidInputError, "t is -0.1; expected diffusion times >= 0"),
        (lambda: fp.VPSchedule().sigma2([1.0, math.nan]), InvalidInputError, "t is nan; expected diffusion times"),
        (lambda: fp.VPSchedule(lambda t: 1.0 - t).rate(2.0), InvalidInputError, r"beta\(2.0\) is -1.0; expected a pos"),
        (lambda: fp.VPSchedule(lambda t: -1.0).alpha(2.0), InvalidInputError, r"beta\(.*\) is -1.0; expected a pos"),
        (lambda: fp.VPSchedule().time_of(-1.0), InvalidInputError, "integrated_rate is -1.0; expected a non-neg"),
        (
            lambda: fp.VPSchedule(lambda t: (1.0 + t) ** -2).time_of(2.0),
            InvalidInputError,
            "never integrates to 2.0",
        ),
        (
            lambda: fp.log_time_grid(1.0, 2.0),
            InvalidInputError,
            "t_max is 1.0 and t_min is 2.0; expected t_max > t_min",
        ),
        (lambda: fp.log_time_grid(1.0, 1.0), InvalidInputError, "expected t_max > t_min > 0"),
        (lambda: fp.log_time_grid(1.0, 0.0), InvalidInputError, "t_min is 0.0; expected t_max > t_min > 0"),
        (lambda: fp.log_time_grid(math.inf, 1.0), InvalidInputError, "t_max is inf; expected a finite number"),
        (lambda: fp.log_time_grid(steps=10**12), InvalidInputError, "a grid of 1000000000000 steps takes 14.6 TiB"),
        (lambda: fp.log_time_grid(steps=0), InvalidInputError, "steps is 0; expected at least 1"),
        (lambda: fp.log_time_grid(steps=10.0), DtypeError, "steps is 10.0; expected an integer"),
        (lambda: fp.log_time_grid(steps=True), DtypeError, "steps is True; expected an integer"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_rate_is_integrated_alike_at_once_and_on_a_grid():
    grid = np.linspace(0.0, 50.0, 501)
    rates = {
        "narrow peak": (lambda t: 0.05 + 20.0 * math.exp(-(((t - 30.0) / 0.1) ** 2)), 2.5 + 2.0 * math.sqrt(math.pi)),
        "square wave": (lambda t: 1.9 if t % 1.0 < 0.5 else 0.1, 50.0),
        "smooth": (lambda t: 1.0 + t, 1300.0),
    }
    for name, (beta, exact) in rates.items():
        schedule = fp.VPSchedule(beta)
        tolerance = 2e-5 if name == "square wave" else 1e-9
        assert schedule.integrated_rate(50.0) == pytest.approx(exact, rel=tolerance), name
        assert schedule.integrated_rate(grid)[-1] == pytest.approx(exact, rel=tolerance), name


def test_a_table_of_a_thousand_steps_is_a_rate():
    table = np.random.default_rng(0).uniform(0.1, 20.0, 1000)
    schedule = fp.VPSchedule(lambda t: table[min(int(t * 1000.0), 999)])
    assert schedule.integrated_rate(1.0) == pytest.approx(table.mean(), rel=1e-3)


def test_what_cannot_be_integrated_is_refused():
    with pytest.raises(InvalidInputError, match=r"beta cannot be integrated from .* expected a rate with fewer jumps"):
        fp.VPSchedule(lambda t: 1.0 + math.sin(1e5 * t) ** 2 * (t > 0.5) * 1e3).integrated_rate(1.0)
    with pytest.raises(InvalidInputError, match="t is inf; expected finite diffusion times for a callable beta"):
        fp.VPSchedule(lambda t: 1.0).alpha(np.inf)
    assert fp.VPSchedule().alpha(np.inf) == 0.0
