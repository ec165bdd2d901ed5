"""Whole Jacobians against differences and dense matrices, their softest modes, and readings that no gauge moves."""

import math

import numpy as np
import oracle
import pytest

import fastpatch as fp
from fastpatch.analysis import posterior_gain, posterior_gain_edm, softest_mode
from fastpatch.errors import InvalidInputError

DICTIONARIES = {
    "18 patterns": fp.PatchDictionary.random(),
    "uneven, size 3": fp.PatchDictionary(np.random.default_rng(2).normal(size=(5, 3, 3)), [0.1, 0.2, 0.3, 0.25, 0.15]),
    "size 13": fp.PatchDictionary.random(n_random=3, size=13),
}


def state_of(dictionary, shape, t, seed=0):
    rng = np.random.default_rng(seed)
    tiles = np.kron(rng.choice(dictionary.centers, size=(3, 3)), np.ones((6, 6)))[: shape[0], : shape[1]]
    return np.exp(-t / 2) * tiles + np.sqrt(-np.expm1(-t)) * rng.normal(size=shape)


@pytest.mark.parametrize("name", DICTIONARIES)
@pytest.mark.parametrize("t", [0.3, 3.2])
def test_products_are_those_of_the_drift(name, t):
    dictionary, shape = DICTIONARIES[name], (13, 15)
    model, rng = fp.PatchModel(dictionary), np.random.default_rng(1)
    x, v, w = state_of(dictionary, shape, t), rng.normal(size=shape), rng.normal(size=shape)
    found = model.jvp(x, t, v)
    eps = 1e-5
    plus, minus = (oracle.drift(x + s * eps * v, t, dictionary.patterns, dictionary.prior) for s in (1, -1))
    np.testing.assert_allclose(found, (plus - minus) / (2 * eps), rtol=0, atol=2e-6 * np.abs(found).max())
    assert np.vdot(w, found) == pytest.approx(np.vdot(v, model.vjp(x, t, w)), rel=1e-11)
    jacobian = model.jacobian(x, t)
    matrix = jacobian.matrix()
    np.testing.assert_allclose(matrix @ v.ravel(), found.ravel(), rtol=1e-12, atol=1e-12 * np.abs(found).max())
    np.testing.assert_allclose((matrix.T @ w.ravel()).reshape(shape), jacobian.transposed(w), rtol=1e-9, atol=1e-9)
    # Batches, and the Rayleigh quotients that mode_derivatives is.
    both = model.jacobian(np.stack([x, w]), t) @ v
    np.testing.assert_allclose(both[0], found, rtol=1e-12, atol=1e-12 * np.abs(found).max())
    mode = oracle.cosine_mode(shape, 2, 0)
    expected = model.mode_derivatives(x, t, shells=[2])[0, 0]
    assert np.vdot(mode, jacobian @ mode) == pytest.approx(expected, rel=1e-9)


def test_posterior_variance_is_that_of_the_centre_pixel():
    dictionary = DICTIONARIES["uneven, size 3"]
    for t in (0.05, 1.0, 6.0):
        x = np.stack([state_of(dictionary, (9, 10), t, seed) for seed in range(2)])
        w = oracle.weights(x, t, dictionary.patterns, dictionary.prior)
        mean = np.tensordot(dictionary.centers, w, axes=1)
        expected = sum(wk * (c - mean) ** 2 for wk, c in zip(w, dictionary.centers, strict=True))
        found = fp.PatchModel(dictionary).posterior_variance(x, t)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-13)


def test_lanczos_finds_what_a_dense_matrix_has():
    model, shape, t = fp.PatchModel(DICTIONARIES["18 patterns"]), (14, 16), 1.8
    jacobian = model.jacobian(state_of(model.dictionary, shape, t), t)
    dense = jacobian.matrix().toarray()
    values, vectors = np.linalg.eigh(0.5 * (dense + dense.T))
    found = softest_mode(lambda v: jacobian @ v, jacobian.transposed, shape, count=3, probes=64)
    np.testing.assert_allclose(found.eigenvalues, values[:3], rtol=1e-6)
    for mode, vector in zip(found.modes, vectors.T, strict=False):
        assert abs(np.vdot(mode, vector)) == pytest.approx(1.0, abs=1e-4)
    assert found.participation[0] == pytest.approx(1.0 / np.sum(vectors[:, 0] ** 4), rel=1e-3)
    assert found.uniform_overlap[0] == pytest.approx(vectors[:, 0].sum() ** 2 / 224, rel=1e-3, abs=1e-9)
    exact = np.linalg.norm(dense - dense.T) / np.linalg.norm(dense)
    assert exact > 0.2
    assert abs(found.asymmetry - exact) < 5.0 * found.asymmetry_error < 0.3 * exact
    assert found.residual < 1e-4 * np.abs(values).max()
    # No Fourier mode is as soft.
    assert found.eigenvalues[0] < model.spectrum(state_of(model.dictionary, shape, t), t).min()


def test_a_gaussian_field_has_a_symmetric_jacobian_and_plane_waves():
    spectrum = 1.0 + 20.0 * np.exp(-(np.fft.fftfreq(12)[:, None] ** 2 + np.fft.rfftfreq(10) ** 2) / 0.02)
    model, t = fp.GaussianModel(spectrum), 2.0

    def product(v):
        return model.drift(v, t)  # linear

    found = softest_mode(product, product, (12, 10))
    assert found.eigenvalues[0] == pytest.approx(model.spectrum(np.zeros((12, 10)), t).min(), rel=1e-8)
    assert found.participation[0] == pytest.approx(120.0)
    assert found.uniform_overlap[0] == pytest.approx(1.0)
    assert found.asymmetry < 1e-12


@pytest.mark.parametrize("antisymmetric", [0.0, 2.0])
def test_a_jacobian_without_a_symmetric_part_has_eigenvalue_zero(antisymmetric):
    def turned(v):
        return antisymmetric * np.stack([v[1], -v[0], v[3], -v[2]])

    found = softest_mode(turned, lambda w: -turned(w), (4, 4), count=3)
    np.testing.assert_array_equal(found.eigenvalues, 0.0)
    modes = found.modes.reshape(3, -1)
    np.testing.assert_allclose(modes @ modes.T, np.eye(3), atol=1e-12)
    assert found.residual == 0.0
    assert found.asymmetry == pytest.approx(2.0 if antisymmetric else 0.0)


def test_images_of_several_channels():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(36, 36))

    def product(v):
        return (matrix @ v.ravel()).reshape(3, 3, 4)

    found = softest_mode(product, lambda v: (matrix.T @ v.ravel()).reshape(3, 3, 4), (3, 3, 4))
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    assert found.eigenvalues[0] == pytest.approx(values[0])
    density = np.square(vectors[:, 0].reshape(3, 12)).sum(axis=0)
    assert found.participation[0] == pytest.approx(1.0 / np.sum(density**2))


def test_the_patch_score_is_no_gradient():
    """Asymmetry along a run, L = 32: about 0.13 at t = 3.2, 0.5 at 1.8; and the lowest modes are localised."""
    model, shape = fp.PatchModel(fp.PatchDictionary.random()), (32, 32)
    times = np.concatenate([fp.log_time_grid(50.0, 3.2, 300), fp.log_time_grid(3.2, 1.8, 60)[1:]])
    run = {state.time: state.x[0].astype(np.float64) for state in fp.states(model, shape, 1, times, every=60)}
    expected = {3.2: (0.09, 0.18), 1.8: (0.4, 0.6)}
    for time, (low, high) in expected.items():
        at = min(run, key=lambda t: abs(t - time))
        matrix = model.jacobian(run[at], at).matrix().toarray()
        exact = np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix)
        assert low < exact < high
        if time == 3.2:
            values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
            assert 3 <= np.count_nonzero(values < 0.0) <= 30
            assert 1.0 / np.sum(vectors[:, 0] ** 4) < 300.0


@pytest.mark.parametrize("t", [0.2, 3.0])
def test_gain_is_the_posterior_covariance_in_either_gauge(t):
    alpha, sigma2 = math.exp(-t / 2), -math.expm1(-t)
    dictionary, shape = DICTIONARIES["uneven, size 3"], (8, 9)
    model, x = fp.PatchModel(dictionary, fp.VPSchedule(2.0)), state_of(dictionary, (8, 9), t)
    v, eps = oracle.cosine_mode(shape, 1, 0), 1e-5
    plus, minus = (oracle.posterior_mean(x + s * eps * v, t, dictionary.patterns, dictionary.prior) for s in (1, -1))
    expected = alpha * np.vdot(v, plus - minus) / (2 * eps)
    found = posterior_gain(model.mode_derivatives(x, t / 2.0, shells=[1])[0, 0], sigma2, 2.0)
    assert found == pytest.approx(expected, rel=1e-5)
    # The same Gaussian as a variance-preserving and as an EDM process at the same ratio of signal to noise.
    S = 30.0
    vp = posterior_gain(np.array([-0.5 + 1.0 / (sigma2 + alpha**2 * S)]), sigma2)
    sigma = math.sqrt(sigma2) / alpha
    edm = posterior_gain_edm(np.array([sigma / (S + sigma**2)]), sigma)
    np.testing.assert_allclose(vp, edm)
    assert vp[0] < 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: softest_mode(lambda v: v[0], lambda v: v, (4, 4)), "expected that of a state"),
        (lambda: softest_mode(lambda v: np.nan * v, lambda v: v, (4, 4)), "expected finite products"),
        (lambda: softest_mode(lambda v: v, lambda v: v, (4,)), "expected .L1, L2. or"),
        (lambda: softest_mode(lambda v: v, lambda v: v, (2, 2), count=4), "count is 4"),
        (lambda: posterior_gain(np.ones(3), 0.0), "positive numbers"),
        (
            lambda: fp.PatchModel(DICTIONARIES["18 patterns"]).jvp(np.zeros((8, 8)), 1.0, np.zeros((8, 9))),
            "expected that of x",
        ),
        (
            lambda: fp.PatchModel(DICTIONARIES["18 patterns"]).jacobian(np.zeros((2, 8, 8)), 1.0).matrix(),
            "expected one field",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()
