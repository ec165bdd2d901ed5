"""The probability-flow ODE against its closed-form solution, for any model."""

import json

import numpy as np
import pytest

import fastpatch as fp
from fastpatch.errors import InvalidInputError

PROTOTYPE = np.sign(np.random.default_rng(4).standard_normal((1, 8, 8)))


def run(steps, beta=1.0, solver="heun", **options):
    model = fp.EmpiricalModel(PROTOTYPE, schedule=fp.VPSchedule(beta))
    times = fp.log_time_grid(5.0, 0.05, steps)
    return fp.simulate(model, (8, 8), 3, times, dtype="float64", solver=solver, snapshots=2, **options)


def exact(dataset, beta):
    """With one prototype the score is linear and (x - alpha mu) / sigma is conserved along the flow."""
    schedule = fp.VPSchedule(beta)
    start, (first, last) = dataset["snapshot"].to_numpy()[:, 0], dataset["snapshot_time"].to_numpy()
    scaled = (start - schedule.alpha(first) * PROTOTYPE) / schedule.sigma(first)
    return schedule.alpha(last) * PROTOTYPE + schedule.sigma(last) * scaled


@pytest.mark.parametrize("beta", [1.0, 0.3, lambda t: 0.5 + t / 5.0])
def test_second_order_to_the_closed_form(beta):
    errors = []
    for steps in (40, 80, 160):
        dataset = run(steps, beta)
        errors.append(np.abs(dataset["final"].to_numpy() - exact(dataset, beta)).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert ((orders > 1.8) & (orders < 2.3)).all()
    assert errors[-1] < 1e-3


def test_derivatives_are_those_of_the_reverse_drift():
    flow = run(20, record_every=20)
    noisy = run(20, record_every=20, solver="euler-maruyama")
    # The first records are taken of one and the same field.
    np.testing.assert_array_equal(flow["mode_derivative"][:, 0], noisy["mode_derivative"][:, 0])
    assert np.abs(flow["final"] - noisy["final"]).max() > 0.01
    assert json.loads(flow.attrs["provenance"])["run"]["solver"] == "heun"


def test_refuses_other_solvers():
    with pytest.raises(InvalidInputError, match="solver is 'leapfrog'; expected one of euler-maruyama"):
        run(5, solver="leapfrog")
