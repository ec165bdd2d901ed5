"""The empirical score of stored prototypes against direct sums, dense Jacobians and the two-pattern closed form."""

import math

import numpy as np
import oracle
import pytest

import fastpatch as fp
from fastpatch.errors import DtypeError, InvalidInputError

SHAPE = (6, 7)


def prototypes_and_weights(count, seed=0):
    rng = np.random.default_rng(seed)
    # Norms differ by tens of per cent, so that a model which leaves them out is far off.
    fields = rng.normal(size=(count, *SHAPE)) * rng.uniform(0.7, 1.3, size=(count, 1, 1))
    return fields, rng.dirichlet(np.ones(count))


def forward_field(prototypes, t, seed=1):
    rng = np.random.default_rng(seed)
    mu = prototypes[rng.integers(len(prototypes))]
    return np.exp(-t / 2) * mu + np.sqrt(-np.expm1(-t)) * rng.normal(size=mu.shape)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("t", [1e-3, 0.3, 2.0, 4.0, 50.0])
def test_posterior_score_and_drift_are_the_direct_sums(count, t):
    prototypes, weights = prototypes_and_weights(count)
    model = fp.EmpiricalModel(prototypes, weights)
    x = np.stack([forward_field(prototypes, t, seed) for seed in range(3)])
    found = model.posterior_weights(x, t)
    assert found.shape == (3, count)
    for field, posterior, b in zip(x, found, model.drift(x, t), strict=True):
        np.testing.assert_allclose(
            posterior, oracle.empirical_weights(field, t, prototypes, weights), rtol=1e-9, atol=1e-13
        )
        expected = oracle.empirical_drift(field, t, prototypes, weights)
        np.testing.assert_allclose(b, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    np.testing.assert_allclose(model.posterior_mean(x, t), np.tensordot(found, prototypes, axes=1), rtol=0, atol=1e-13)
    np.testing.assert_allclose(model.score(x, t), -x / 2 - model.drift(x, t), rtol=0, atol=1e-9 / -np.expm1(-t))


def test_two_patterns_give_the_tanh_of_their_overlap():
    mu = fp.stripe_prototypes()[0]
    model = fp.EmpiricalModel(fp.stripe_prototypes())
    for t in (0.5, 4.0, 7.75, 12.0):
        alpha, sigma2 = math.exp(-t / 2), -math.expm1(-t)
        x = 0.1 * np.random.default_rng(0).normal(size=(48, 48)) + 0.01 * mu
        expected = (alpha * mu * np.tanh(alpha * np.sum(mu * x) / sigma2) - x) / sigma2
        np.testing.assert_allclose(model.score(x, t), expected, rtol=1e-11, atol=1e-13)


def test_stripes_are_the_sign_of_the_cosine_with_zero_counted_as_positive():
    stripes = fp.stripe_prototypes()
    assert stripes.shape == (2, 48, 48)
    np.testing.assert_array_equal(stripes[1], -stripes[0])
    for y in range(48):
        for x in range(48):
            # cos(2 pi n / 48) >= 0 for n within 12 of a multiple of 48, where rounding of the cosine cannot interfere.
            n = (x + 2 * y) % 48
            assert stripes[0, y, x] == (1.0 if min(n, 48 - n) <= 12 else -1.0)


def dense_derivatives(model, x, t, modes):
    """v^T J v from the whole Jacobian: (-1/2 + 1/sigma^2) I - alpha^2/sigma^4 times the posterior covariance."""
    alpha, sigma2 = np.exp(-t / 2), -np.expm1(-t)
    posterior = oracle.empirical_weights(x, t, model.prototypes, model.weights)
    flat = model.prototypes.reshape(len(posterior), -1)
    centred = flat - posterior @ flat
    covariance = (posterior[:, None, None] * centred[:, :, None] * centred[:, None, :]).sum(axis=0)
    jacobian = (-0.5 + 1 / sigma2) * np.eye(x.size) - alpha**2 / sigma2**2 * covariance
    return np.array([v.ravel() @ jacobian @ v.ravel() for v in modes])


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("t", [0.05, 2.0, 4.0, 50.0])
def test_mode_derivatives_and_spectrum_are_those_of_the_dense_jacobian(count, t):
    model = fp.EmpiricalModel(*prototypes_and_weights(count))
    # Near a prototype at large noise: several prototypes share the weight.
    x = forward_field(model.prototypes, max(t, 2.0))
    shells = (0, 1, 2, 3, 5, 9)
    modes = [[oracle.cosine_mode(SHAPE, n, 0), oracle.cosine_mode(SHAPE, 0, n)] for n in shells]
    expected = [dense_derivatives(model, x, t, pair) for pair in modes]
    np.testing.assert_allclose(model.mode_derivatives(x, t, shells), expected, rtol=1e-10)
    waves = [(a, b) for a in range(SHAPE[0]) for b in range(SHAPE[1] // 2 + 1)]
    expected = dense_derivatives(model, x, t, [oracle.cosine_mode(SHAPE, *wave) for wave in waves])
    np.testing.assert_allclose(model.spectrum(x, t).ravel(), expected, rtol=1e-10)


def test_mode_derivatives_are_central_differences_too():
    rng, t = np.random.default_rng(3), 2.0
    prototypes, weights = rng.normal(size=(4, 8, 8)), rng.dirichlet(np.ones(4))
    model = fp.EmpiricalModel(prototypes, weights)
    # Halfway between all prototypes, where they compete and the data term is large.
    x = np.exp(-t / 2) * prototypes.mean(axis=0)
    shells = range(7)
    waves = [[(n, 0), (0, n), (n, n)] for n in shells]
    modes = np.array([[oracle.cosine_mode((8, 8), *wave) for wave in row] for row in waves])

    def drift(fields):
        return np.stack([oracle.empirical_drift(field, t, prototypes, weights) for field in fields])

    expected = oracle.directional_derivatives(drift, x, modes.reshape(-1, 8, 8), 1e-2).reshape(7, 3)
    assert np.abs(expected - 0.5).max() > 0.1
    np.testing.assert_allclose(model.mode_derivatives(x, t, shells, diagonal=True), expected, rtol=1e-7)


@pytest.mark.parametrize("method", ["mode_derivatives", "spectrum"])
def test_batches_and_dtypes(method, dtype):
    model = fp.EmpiricalModel(*prototypes_and_weights(3))
    x = np.random.default_rng(4).normal(size=(2, 3, *SHAPE)).astype(dtype)
    found = getattr(model, method)(x, 2.0)
    assert found.dtype == dtype
    one_by_one = [getattr(model, method)(field, 2.0) for field in x.reshape(-1, *SHAPE)]
    # A batch is one matrix product, whose order of additions depends on the number of fields.
    np.testing.assert_allclose(
        found.reshape(6, *found.shape[2:]), one_by_one, rtol=1e-6 if dtype == "float32" else 1e-12
    )
    assert model.drift(x, 2.0).dtype == dtype
    assert model.posterior_weights(x, 2.0).dtype == np.float64


def test_only_directions_of_the_prototypes_soften():
    # Rank M: every mode that is orthogonal to the prototypes keeps the bare 1/sigma^2 - 1/2. Their mean is not zero, so
    # the constant mode is none of these.
    i = np.arange(12)
    mu = np.sign(np.cos(2 * np.pi * i / 12) + 1e-9)[:, None] * np.ones((12, 12))
    model = fp.EmpiricalModel(np.stack([mu, -mu]))
    t = 4.0
    bare = -0.5 - 1 / np.expm1(-t)
    found = model.mode_derivatives(np.zeros((12, 12)), t, range(6))
    np.testing.assert_allclose(found[1:, 1], bare, rtol=1e-12)
    assert found[1, 0] < bare - 1.0


def test_critical_time_is_where_the_largest_direction_turns_unstable():
    # At x = 0 of two prototypes +-mu the score's Jacobian along mu vanishes where sigma^2 = alpha^2 |mu|^2.
    model = fp.EmpiricalModel(fp.stripe_prototypes(12))
    assert model.Omega == pytest.approx(144.0)
    assert model.critical_time == pytest.approx(math.log(145.0))


def test_weights_are_normalised_and_arrays_protected():
    prototypes, weights = prototypes_and_weights(3)
    model = fp.EmpiricalModel(prototypes, 7.0 * weights)
    np.testing.assert_allclose(model.weights, weights, rtol=1e-15)
    np.testing.assert_allclose(fp.EmpiricalModel(prototypes).weights, 1 / 3)
    for array in (model.prototypes, model.weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    prototypes[0] = 0.0
    assert np.abs(model.prototypes[0]).max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((6, 7)),), InvalidInputError, r"prototypes has shape \(6, 7\); expected"),
        ((np.ones((1, 2, 6, 7)),), InvalidInputError, r"prototypes has shape \(1, 2, 6, 7\); expected \(M, L1, L2\)"),
        ((np.ones((0, 6, 7)),), InvalidInputError, r"prototypes has shape \(0, 6, 7\); expected"),
        ((np.ones((2, 6, 7), dtype=int),), DtypeError, "prototypes has dtype int64; expected float32 or float64"),
        (
            (np.full((2, 6, 7), np.nan),),
            InvalidInputError,
            r"prototypes holds nan at index \(0, 0, 0\); expected finite",
        ),
        ((np.ones((2, 6, 7)), [1.0]), InvalidInputError, r"weights has shape \(1,\); expected \(2,\)"),
        ((np.ones((2, 6, 7)), [1.0, 0.0]), InvalidInputError, r"weights\[1\] is 0.0; expected positive"),
        ((np.ones((2, 6, 7)), [np.nan, 1.0]), InvalidInputError, r"weights\[0\] is nan; expected positive finite"),
        ((np.ones((2, 6, 7)), None, 1.0), DtypeError, "schedule is a float; expected a VPSchedule"),
    ],
)
def test_what_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        fp.EmpiricalModel(*arguments)


def test_other_lattices_are_refused():
    model = fp.EmpiricalModel(*prototypes_and_weights(2))
    with pytest.raises(InvalidInputError, match="the lattice is 7x6; expected the prototypes' 6x7"):
        model.score(np.zeros((7, 6)), 1.0)
    with pytest.raises(InvalidInputError, match="size is 0; expected at least 1"):
        fp.stripe_prototypes(0)


def test_a_trajectory_does_not_depend_on_its_company():
    rng = np.random.default_rng(3)
    model, x = fp.EmpiricalModel(0.1 * rng.standard_normal((40, 12, 12))), rng.standard_normal((5, 12, 12))
    for one in range(5):
        np.testing.assert_array_equal(model.posterior_mean(x, 1.0)[one], model.posterior_mean(x[one], 1.0))


def test_no_fields_give_no_values():
    model = fp.EmpiricalModel(fp.stripe_prototypes(8))
    assert model.posterior_weights(np.ones((0, 8, 8)), 1.0).shape == (0, 2)
    assert model.spectrum(np.ones((0, 8, 8)), 1.0).shape == (0, 8, 5)
