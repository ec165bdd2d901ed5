"""Solvers: their coefficients, their order, what they agree on, and one from outside."""

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.errors import InvalidInputError
from fastpatch.runs.solvers import SOLVERS, Ancestral, EulerMaruyama

SCHEDULES = {"constant": fp.VPSchedule(), "fast": fp.VPSchedule(2.5), "callable": fp.VPSchedule(lambda t: 0.5 + t / 4)}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_the_ancestral_step_is_the_conditional_gaussian(schedule):
    """x_s given x_t and x_0, from the joint Gaussian of (x_s, x_t) given x_0."""
    times = np.array([3.0, 2.2, 0.7, 0.1])
    found = Ancestral().coefficients(schedule, times)
    for (linear, pull, kick), t, s in zip(found, times[:-1], times[1:], strict=True):
        alpha_t, alpha_s, var_t, var_s = schedule.alpha(t), schedule.alpha(s), schedule.sigma2(t), schedule.sigma2(s)
        covariance = alpha_t / alpha_s * var_s
        assert linear == pytest.approx(covariance / var_t)
        assert pull == pytest.approx(alpha_s - covariance / var_t * alpha_t)
        assert kick**2 == pytest.approx(var_s - covariance**2 / var_t)


def test_one_ancestral_step_from_noise_is_exact_for_one_prototype():
    """The posterior mean does not change, so the marginal after a single huge step is that of the process."""
    prototype = np.sign(np.random.default_rng(1).standard_normal((1, 16, 16)))
    model = fp.EmpiricalModel(prototype)
    run = fp.simulate(model, 16, 64, [40.0, 0.5], solver="ancestral", dtype="float64")
    scaled = (run["final"].to_numpy() - model.schedule.alpha(0.5) * prototype) / model.schedule.sigma(0.5)
    n = scaled.size
    assert abs(scaled.mean()) < 4 / np.sqrt(n)
    assert abs(scaled.var() - 1.0) < 4 * np.sqrt(2 / n)


@pytest.mark.parametrize("solver", ["euler-maruyama", "ancestral"])
def test_fused_steps_are_those_of_the_solver(solver):
    model = fp.PatchModel(fp.PatchDictionary.random(4, size=3))

    class Opaque:
        schedule = model.schedule
        posterior_mean, score, drift = model.posterior_mean, model.score, model.drift

    options = {"shape": 12, "trajectories": 2, "times": fp.log_time_grid(3.0, 0.05, 40), "dtype": "float64"}
    fused, plain = (fp.simulate(m, solver=solver, snapshots=3, **options) for m in (model, Opaque()))
    np.testing.assert_allclose(fused["snapshot"], plain["snapshot"], rtol=0, atol=1e-9)


def test_a_model_without_posterior_mean_takes_ancestral_steps_by_its_score():
    model = fp.EmpiricalModel(fp.stripe_prototypes(12))

    class ScoreOnly:
        schedule = model.schedule
        score, drift = model.score, model.drift

    options = {"shape": 12, "trajectories": 2, "times": fp.log_time_grid(20.0, 0.05, 60), "dtype": "float64"}
    found, expected = (fp.simulate(m, solver="ancestral", **options)["final"] for m in (ScoreOnly(), model))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_weak_order_one_of_both_schemes():
    """Variance of a Gaussian model's final field against the exact one, which no sampling error blurs: by recursion."""
    model = fp.GaussianModel(np.full((1, 1), 9.0))
    exact = float(model.structure_factor(0.2)[0, 0])

    def variance(solver, steps):
        times = fp.log_time_grid(3.0, 0.2, steps)
        S = float(model.structure_factor(3.0)[0, 0])
        for (linear, pull, kick), t in zip(solver.coefficients(model.schedule, times), times, strict=False):
            alpha = model.schedule.alpha(t)
            gain = alpha * 9.0 / float(model.structure_factor(t)[0, 0])
            S = (linear + pull * gain) ** 2 * S + kick**2
        return S

    for solver in (EulerMaruyama(), Ancestral()):
        errors = [abs(variance(solver, steps) - exact) for steps in (100, 200, 400)]
        orders = np.log2(np.array(errors[:-1]) / errors[1:])
        assert ((orders > 0.9) & (orders < 1.15)).all(), (solver.name, errors)


class Still:
    name = "still"

    def step(self, model, x, t, s, noise):
        return x


def test_a_solver_from_outside():
    model = fp.PatchModel(fp.PatchDictionary.random())
    run = fp.simulate(model, 12, 2, fp.log_time_grid(3.0, 0.1, 5), solver=Still())
    np.testing.assert_array_equal(run["final"], run["snapshot"][:, 0])


@pytest.mark.parametrize("solver", [3, Still, object()])
def test_what_is_no_solver(solver):
    with pytest.raises(InvalidInputError, match="solver is a"):
        fp.simulate(fp.PatchModel(fp.PatchDictionary.random()), 12, 1, [2.0, 1.0], solver=solver)


def test_an_unstable_first_step_is_refused_with_the_steps_that_would_do():
    model = fp.PatchModel(fp.PatchDictionary.random())
    with pytest.raises(InvalidInputError, match="expected at least 130 steps on a logarithmic grid"):
        fp.simulate(model, 12, 1, fp.log_time_grid(steps=60))
    for steps, stable in ((129, False), (130, True)):
        times = fp.log_time_grid(steps=steps)
        factor = EulerMaruyama().coefficients(model.schedule, times)[0, 0]
        assert (abs(factor) <= 1.0) == stable
    next(fp.states(model, 12, 1, fp.log_time_grid(steps=60), solver="ancestral"))


def test_names_are_those_of_the_solvers():
    assert set(SOLVERS) == {"euler-maruyama", "ancestral", "heun"}
